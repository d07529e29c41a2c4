// The report's style: one column on a phone, wider on a desk, light and dark.
//
// The three models keep one colour each through the whole page; the colours are the blue, the
// green and the orange of Okabe and Ito, which most colour-blind people can tell apart.
#include "treadle/lab/report_html.hpp"

namespace treadle::lab {

const std::string_view page_style = R"css(
:root {
  --paper: #fdfdfb; --ink: #1d2126; --soft: #5b6470; --line: #d9dce0; --tint: #f2f3f1;
  --many-to-one: #c77700; --one-to-one: #0068a8; --many-to-many: #00805c;
  --holds: #10663f; --holds-tint: #dff3e6; --differs: #96321a; --differs-tint: #fbe5dd;
  --not-run: #565c66; --not-run-tint: #e8eaed;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181c; --ink: #e7e9ec; --soft: #a3abb6; --line: #353b43; --tint: #1e2329;
    --many-to-one: #f0a530; --one-to-one: #56b4e9; --many-to-many: #35c79a;
    --holds: #7fdba4; --holds-tint: #173a28; --differs: #ffab8f; --differs-tint: #47231a;
    --not-run: #b8bfc9; --not-run-tint: #2b3037;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main { max-width: 66rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 { font-size: clamp(1.7rem, 5vw, 2.5rem); line-height: 1.15; margin: 0 0 .6rem; }
h2 { font-size: 1.4rem; line-height: 1.25; margin: 2.2rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--one-to-one); }
section { border-top: 1px solid var(--line); margin-top: 2rem; }
header + section { border-top: 0; margin-top: 0; }
blockquote {
  margin: .8rem 0; padding: .5rem 0 .5rem 1rem; max-width: 46rem; font-size: 1.08rem;
  border-left: 4px solid var(--many-to-many);
}
.models, .cards {
  display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr));
}
.cards { grid-template-columns: repeat(auto-fit, minmax(6.2rem, 1fr)); }
.cards .card { padding: .6rem .65rem; font-size: .92rem; line-height: 1.35; }
.card {
  background: var(--tint); border: 1px solid var(--line); border-radius: .6rem;
  padding: .8rem 1rem;
}
.card .symbol { color: var(--soft); font-style: italic; }
.card .number { font-size: clamp(1.05rem, 4vw, 1.6rem); font-weight: 650; white-space: nowrap; }
.facts { display: flex; flex-wrap: wrap; gap: .2rem 1.6rem; margin: 1rem 0 0; font-size: .88rem; }
.facts div { display: flex; gap: .4rem; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.warning {
  background: var(--differs-tint); color: var(--differs); border-radius: .4rem;
  padding: .5rem .8rem;
}
nav ol { padding-left: 1.9rem; columns: 19rem; column-gap: 2rem; }
nav li { margin: .25rem 0; break-inside: avoid; }
.model {
  display: inline-block; min-width: 2.6em; padding: 0 .45em; border-radius: .35em;
  text-align: center;
  color: var(--paper); font: 600 .82em/1.6 ui-monospace, "DejaVu Sans Mono", monospace;
}
.many-to-one { background: var(--many-to-one); }
.one-to-one { background: var(--one-to-one); }
.many-to-many { background: var(--many-to-many); }
.native { background: var(--soft); }
.verdict {
  display: inline-block; padding: 0 .5em; border-radius: 1em; white-space: nowrap;
  font-size: .82em; line-height: 1.6;
}
.verdict.holds { color: var(--holds); background: var(--holds-tint); }
.verdict.differs { color: var(--differs); background: var(--differs-tint); font-weight: 650; }
.verdict.not-run { color: var(--not-run); background: var(--not-run-tint); }
.scroll { overflow-x: auto; margin: 1rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; min-width: 34rem; font-size: .92rem; }
table.ways { font-size: .82rem; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td { padding: .35rem .6rem .35rem 0; border-top: 1px solid var(--line); vertical-align: top; }
thead th { border-top: 0; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
tr.why td { border-top: 0; padding-top: 0; color: var(--soft); font-size: .88em; }
details { margin: .3rem 0 1rem; font-size: .9rem; }
summary { cursor: pointer; color: var(--soft); padding: .4rem 0; }
details li { margin: .3rem 0; overflow-wrap: anywhere; }
.figures {
  display: grid; gap: 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); align-items: start;
}
figure { margin: .5rem 0 0; min-width: 0; }
figcaption { font-weight: 600; margin-bottom: .3rem; }
.plot { position: relative; width: 100%; }
.key { color: var(--soft); font-size: .88rem; margin-bottom: 0; }
.swatch {
  display: inline-block; width: 1.6em; height: .8em; border: 2px solid var(--soft);
  border-radius: .15em; margin-left: .8em;
}
.swatch:first-child { margin-left: 0; }
.swatch.measured { background: var(--soft); }
footer {
  max-width: 66rem; margin: 2.5rem auto; padding: 1rem; color: var(--soft); font-size: .88rem;
}
@media (max-width: 40rem) {
  table { min-width: 0; }
  thead { position: absolute; clip-path: inset(50%); }
  tbody tr {
    display: grid; grid-template-columns: 3.2rem 1fr 1fr auto; gap: 0 .5rem; padding: .45rem 0;
    border-top: 1px solid var(--line);
  }
  tbody td, tr.why td { border: 0; padding: 0; }
  tbody td:nth-child(2) { grid-column: 2 / 4; }
  tbody td.verdict-cell { grid-column: 4; grid-row: 1; }
  tbody td.number { grid-row: 2; text-align: left; white-space: normal; }
  tbody td.number::before {
    content: attr(data-name); display: block; color: var(--soft); font-size: .8em;
  }
  tbody td.number:nth-child(3) { grid-column: 2; }
  tbody td.number:nth-child(4) { grid-column: 3; }
  table.ways tbody tr { grid-template-columns: 1fr 1fr 1fr; }
  table.ways tbody td:nth-child(n) { grid-column: auto; grid-row: auto; }
  tbody tr.why { border: 0; padding-top: 0; }
  tbody tr.why td:nth-child(1) { display: none; }
  tbody tr.why td:nth-child(2) { grid-column: 2 / 5; }
}
@media print { details { display: none; } section { break-inside: avoid; } }
)css";

}  // namespace treadle::lab
