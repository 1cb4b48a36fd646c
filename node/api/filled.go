package api

import "reflect"

// fill makes the nil lists and maps below v, which is a pointer, empty ones: JSON says [] and {},
// never null, whatever the daemon at the other end left out.
func fill(v any) { fillValue(reflect.ValueOf(v).Elem()) }

func fillValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fillValue(f)
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fillValue(v.Index(i))
		}
	case reflect.Map:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
	}
}
