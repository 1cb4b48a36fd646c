package report

// style is the style sheet of the page. The colours of the lines are the set of Okabe and Ito
// ("Color Universal Design", 2008), which people with any kind of colour vision can tell apart,
// lightened where the ground is dark; dashes tell the lines apart without any colour.
const style = `
:root{--bg:#fff;--card:#fff;--ink:#1b1f24;--soft:#57606a;--edge:#d5dae0;--band:#e69f0026;--fault:#b87400;--good:#00674a;--bad:#b3261e;
--c1:#0072b2;--c2:#d55e00;--c3:#009e73;--c4:#cc79a7;--c5:#e69f00;--c6:#56b4e9;--code:#f2f4f7}
@media (prefers-color-scheme:dark){:root{--bg:#0e1116;--card:#161a21;--ink:#e6e9ee;--soft:#9aa4b0;--edge:#323943;--band:#e69f002b;--fault:#e69f00;
--good:#3ddba4;--bad:#ff8a80;--c1:#56b4e9;--c2:#ff8c42;--c3:#2fd0a0;--c4:#e6a3c8;--c5:#f0c24b;--c6:#8fb8ff;--code:#1f252e}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:20px 16px 60px}
h1{font-size:26px;line-height:1.2;margin:6px 0 8px;overflow-wrap:anywhere}
h2{font-size:19px;margin:34px 0 10px}
h3{font-size:15px;margin:0;overflow-wrap:anywhere}
p{margin:6px 0;overflow-wrap:anywhere}
.verdict{display:inline-block;margin:0;padding:2px 12px;border-radius:99px;font-weight:700;text-transform:uppercase;letter-spacing:.05em;font-size:13px;border:2px solid}
.passed,.good{color:var(--good)}.failed,.bad{color:var(--bad)}
.good,.bad{font-weight:600;white-space:nowrap}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:8px;margin:14px 0}
.tiles div{background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:7px 11px}
.tiles dt{color:var(--soft);font-size:12px}.tiles dd{margin:0;font-weight:600;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
code,pre{background:var(--code);border-radius:5px;font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace}
code{padding:2px 6px;overflow-wrap:anywhere;user-select:all}
pre{padding:10px;overflow:auto;max-height:420px}
figure{margin:0 0 12px;background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:12px 16px 8px;overflow:hidden}
figcaption{display:flex;flex-wrap:wrap;gap:2px 18px;align-items:baseline;margin-bottom:2px}
.legend{margin:0;font-size:13px;color:var(--soft)}.legend span{margin-right:12px;white-space:nowrap}.legend svg{vertical-align:-1px;margin-right:5px}
.chart{display:block;margin-left:52px;width:calc(100% - 66px);overflow:visible}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:var(--soft);font-variant-numeric:tabular-nums}
.yl{text-anchor:end}.xl{text-anchor:middle}
.grid,.tick{stroke:var(--edge)}
.l{fill:none;stroke-width:2;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.l1{stroke:var(--c1)}.l2{stroke:var(--c2);stroke-dasharray:7 3}.l3{stroke:var(--c3);stroke-dasharray:2 3}
.band{fill:var(--band)}.fail{fill:none;stroke:var(--bad);vector-effect:non-scaling-stroke;stroke-dasharray:4 3}
.fault{fill:var(--fault)}.mark{fill:var(--bad)}.lane{fill:var(--ink)}text.bad{fill:var(--bad)}
.s rect{fill:transparent}.s text{text-anchor:end;fill:var(--ink);font-weight:600;visibility:hidden;pointer-events:none}
.s:hover rect{fill:var(--soft);fill-opacity:.3}.s:hover text{visibility:visible}
.topo{display:block;width:100%;max-width:620px;margin:0 auto}
.topo circle{stroke:var(--card);stroke-width:1.5}.topo text{font-size:13px;fill:var(--ink)}
.e{fill:none;stroke:var(--soft);stroke-opacity:.35;stroke-width:1}.many{stroke-opacity:.15}
.relay{stroke:var(--c2);stroke-opacity:.9;stroke-width:1.6;stroke-dasharray:6 3}.down{stroke:var(--bad);stroke-opacity:1;stroke-width:1.8;stroke-dasharray:2 4}
.e:hover{stroke-width:4;stroke-opacity:1}
.g1{fill:var(--c1)}.g2{fill:var(--c2)}.g3{fill:var(--c3)}.g4{fill:var(--c4)}.g5{fill:var(--c5)}.g6{fill:var(--c6)}
.scroll{overflow:auto;max-height:560px;border:1px solid var(--edge);border-radius:8px;background:var(--card)}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:5px 10px;border-bottom:1px solid var(--edge);vertical-align:top;overflow-wrap:break-word;white-space:pre-line}
th{white-space:nowrap}td:last-child:not(.n){min-width:11em}
tr:last-child td{border-bottom:0}
th{position:sticky;top:0;background:var(--card);color:var(--soft);font-size:12px;font-weight:600}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;overflow-wrap:normal}
.bar{display:block;height:3px;margin:2px 0 0 auto;background:var(--c1);border-radius:2px}
.log td{padding:2px 10px;font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;border-bottom:0}
.log td:nth-child(-n+4){white-space:nowrap;width:1px}.log td:last-child{min-width:16em;overflow-wrap:anywhere}
.states{display:grid;grid-template-columns:repeat(auto-fill,minmax(120px,1fr));gap:0 12px}.states details{margin:3px 0;min-width:0}.states details[open]{grid-column:1/-1}.states summary{overflow-wrap:anywhere}
details{margin:6px 0}summary{cursor:pointer;color:var(--soft);font-size:13px}
summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--c1);outline-offset:2px}
@media (max-width:620px){main{padding:12px 10px 40px}figure{padding:10px 8px 6px}.xl.odd{display:none}
.tiles{grid-template-columns:repeat(2,1fr)}th,td{padding:5px 7px}table{font-size:13px}}
@media print{.scroll,pre{max-height:none;overflow:visible}figure,tr{break-inside:avoid}}
`
