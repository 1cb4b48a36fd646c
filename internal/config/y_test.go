package config
import ("testing";"strings";"time";"fmt";"runtime";"github.com/goccy/go-yaml/lexer";"github.com/goccy/go-yaml/parser")
func TestY(t *testing.T){
 run:=func(n,s string){
  var m0,m1 runtime.MemStats; runtime.GC(); runtime.ReadMemStats(&m0)
  st:=time.Now(); tk:=lexer.Tokenize(s); a:=time.Since(st)
  var b time.Duration; var err error
  if !strings.HasPrefix(n,"!"){ st=time.Now(); _,err=parser.Parse(tk,0); b=time.Since(st)}
  runtime.ReadMemStats(&m1)
  e:=fmt.Sprint(err); if len(e)>60{e=e[:60]}
  t.Logf("%-12s len=%d tokens=%d lex=%v parse=%v alloc=%dMB %q",n,len(s),len(tk),a,b,(m1.TotalAlloc-m0.TotalAlloc)>>20,e)
 }
 rep:=func(f string,size int)string{var b strings.Builder;for i:=0;b.Len()<size;i++{fmt.Fprintf(&b,f,i)};return b.String()}
 for _,k:=range []int{1<<17,1<<18,1<<20}{
 run("!flow",strings.Repeat("[",k))
 run("!dash",strings.Repeat("- ",k/2))
 run("keys",rep("k%d: 1\n",k))
 run("items",rep("- k%d\n",k))
 run("flowitems","["+strings.Repeat("1,",k/2)+"]")
 run("flowmap","{"+rep("k%d: 1,",k)+"}")
 run("long","a: "+strings.Repeat("a",k))
 run("quoted","a: \""+strings.Repeat("a",k)+"\"")
 run("spaces",strings.Repeat(" ",k))
 run("lines",strings.Repeat("\n",k))
 run("colons",strings.Repeat(":",k))
 run("colons2",strings.Repeat(": ",k/2))
 run("plainml","a: "+strings.Repeat("b\n ",k/3))
 run("lit","a: |\n"+strings.Repeat(" b\n",k/3))
 run("comments",strings.Repeat("#\n",k/2))
 run("svc","services:\n"+rep("- name: k%d\n  port: 80\n",k))
 run("quote1",strings.Repeat("'",k))
 run("quote2",strings.Repeat("\"",k))
 run("pipes",strings.Repeat("a: |\n",k/5))
 run("commas","["+strings.Repeat(",",k))
 run("crlf",strings.Repeat("a\r\n",k/3))
 run("tabs",strings.Repeat("\t",k))
 run("indent",func()string{var b strings.Builder;for i:=0;b.Len()<k;i++{b.WriteString(strings.Repeat(" ",i)+"a:\n")};return b.String()}())
 run("esc","a: \""+strings.Repeat("\\u0041",k/6)+"\"")
 run("dots",strings.Repeat("...\n",k/4))
 run("docs",strings.Repeat("---\n",k/4))
 run("pct",strings.Repeat("%",k))
 run("anch",strings.Repeat("&a ",k/3))
 run("at",strings.Repeat("@",k))
 run("num","a: "+strings.Repeat("1",k))
 run("under","a: 1"+strings.Repeat("_",k))
 run("q?",strings.Repeat("? a\n",k/4))
 }
}
