"""How the statistics page looks: calm, in light and dark, from 320 px on. Colours only repeat what words say.

Contrast of every text against its ground is at least 4.5 in both themes (WCAG 2.2, 1.4.3); 3 for the marks of states.
"""

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ground:#f6f7f9;--card:#fff;--text:#1d2733;--quiet:#56616e;--line:#dde2e8;--link:#1a5fb4;
--up:#1b7f3b;--warn:#8f5a00;--down:#b3261e;--calm:#4a5a8a}
@media(prefers-color-scheme:dark){:root{--ground:#12181f;--card:#1a222b;--text:#e6ebf0;--quiet:#9aa6b2;--line:#2c3742;
--link:#8ab8f0;--up:#62c983;--warn:#e0ae4f;--down:#ff8f85;--calm:#a9b8e8}}
*{box-sizing:border-box}
body{margin:0;padding:0 1rem 3rem;background:var(--ground);color:var(--text);
font:16px/1.45 system-ui,sans-serif;font-variant-numeric:tabular-nums}
main,header{max-width:92rem;margin:0 auto}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.25rem 1.25rem;padding:1.25rem 0 .75rem}
h1{font-size:1.35rem;margin:0}h2{font-size:1.05rem;margin:1.75rem 0 .5rem}
p{margin:.25rem 0}.quiet{color:var(--quiet)}small{font-size:.875rem}
a{color:var(--link);display:inline-block;padding:.1rem 0}
a:focus-visible,.frame:focus-visible{outline:2px solid;outline-offset:2px}
dl.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.25rem,1fr));gap:.6rem;margin:.75rem 0 0}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem}
.tiles dt{color:var(--quiet);font-size:.875rem}.tiles dd{margin:0;font-size:1.3rem}
.tiles dd small{display:block;color:var(--quiet)}
.frame{background:var(--card);border:1px solid var(--line);border-radius:.5rem;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.875rem}
caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
th,td{padding:.4rem .35rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
tbody tr:last-child>*{border-bottom:0}
thead th{color:var(--quiet);font-weight:600;font-size:.8rem;vertical-align:bottom}
th[scope=row],.words,thead .words{text-align:left}.words{white-space:normal}
th[scope=row] small,.words small{display:block;color:var(--quiet);font-weight:400}
thead tr:first-child th[colspan]{text-align:center;border-left:1px solid var(--line);border-right:1px solid var(--line)}
td.nothing{color:var(--quiet)}.state-cell{min-width:8rem}
tr.sum>*{font-weight:600;background:color-mix(in srgb,var(--line) 30%,transparent)}
.state{font-weight:700;white-space:nowrap}.state b{display:inline-block;width:1.2em;font-weight:400}
.up{color:var(--up)}.warn{color:var(--warn)}.down{color:var(--down)}.calm{color:var(--calm)}
tr.is-down>:first-child{box-shadow:inset 4px 0 var(--down)}tr.is-warn>:first-child{box-shadow:inset 4px 0 var(--warn)}
tr.is-up>:first-child{box-shadow:inset 4px 0 var(--up)}tr.is-calm>:first-child{box-shadow:inset 4px 0 var(--calm)}
ul.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;padding:0;margin:.5rem 0;font-size:.875rem}
@media(max-width:88rem){.servers{font-size:.8rem}.servers th,.servers td{padding:.4rem .3rem}.servers thead th{font-size:.75rem}}
@media(max-width:72rem){
.servers thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
.servers,.servers tbody{display:block}
.servers tr{display:grid;grid-template-columns:repeat(auto-fill,minmax(7.5rem,1fr));gap:.15rem .75rem;
padding:.75rem .9rem;border-bottom:1px solid var(--line)}
.servers tr:last-child{border-bottom:0}
.servers th,.servers td{border:0;padding:0;text-align:left;white-space:normal}
.servers tr[class]>:first-child{box-shadow:none}.servers th[scope=row],.servers td.words{grid-column:1/-1}
.servers .state-cell{min-width:0}
.servers td::before{content:attr(data-label);display:block;color:var(--quiet);font-size:.8rem;font-weight:400}
.servers td.state-cell::before,.servers td.nothing{display:none}
.servers tr.sum>*{background:none}
.servers tr.is-down{box-shadow:inset 4px 0 var(--down)}.servers tr.is-warn{box-shadow:inset 4px 0 var(--warn)}
.servers tr.is-up{box-shadow:inset 4px 0 var(--up)}.servers tr.is-calm{box-shadow:inset 4px 0 var(--calm)}}
@media(max-width:34rem){.events td,.events th{padding:.4rem .5rem;white-space:normal}.events .of{display:none}}
""".strip()
