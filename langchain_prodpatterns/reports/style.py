"""How a report looks: one style sheet, in the file itself."""

COLORS = 8
"""How many colors the style sheet has for parts of a chart: one for each pattern of a
ledger, and calls outside of all."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1c2128; --faint: #59636e;
  --rule: #d1d9e0; --panel: #f6f8fa;
  --c0: #0b5cad; --c1: #a8480b; --c2: #1a6e3c;
  --c3: #7b3fa0; --c4: #8a6a00; --c5: #a3264f;
  --c6: #00747c; --c7: #5b5f66;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f141a; --text: #e6edf3; --faint: #9aa5b1;
    --rule: #353d47; --panel: #171d25;
    --c0: #6cb2ff; --c1: #ffa35c; --c2: #63cf8b;
    --c3: #cf9bf5; --c4: #e0bd4d; --c5: #ff8fb0;
    --c6: #5fd3d8; --c7: #b4bac2;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem;
  background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
p { max-width: 46rem; margin: .5rem 0; }
.faint { color: var(--faint); }
.cards { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0; padding: 0; }
.cards > div {
  flex: 1 1 10rem; padding: .75rem 1rem; background: var(--panel);
  border: 1px solid var(--rule); border-radius: .5rem;
}
.cards dt { font-size: .85rem; color: var(--faint); }
.cards dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; display: grid; gap: 1rem 1.5rem; align-items: start; }
figure { grid-template-columns: minmax(0, 1fr); }
figure > div { overflow-x: auto; }
@media (min-width: 60rem) {
  figure { grid-template-columns: minmax(0, 5fr) minmax(0, 4fr); }
  figure figcaption { grid-column: 1 / -1; }
}
figcaption { font-weight: 600; }
.chart { width: 100%; min-width: 34rem; height: auto; display: block; }
svg text { fill: var(--text); font: 13px system-ui, "Segoe UI", Arial, sans-serif; }
svg .tick { fill: var(--faint); font-size: 12px; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .axis { stroke: var(--faint); stroke-width: 1; }
svg .line { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
svg .dotted { stroke-dasharray: 2 5; stroke-linecap: round; }
svg .level { stroke-width: 1.5; stroke-dasharray: 8 5; }
svg .mark { fill: var(--page); stroke: var(--text); stroke-width: 2.5; }
svg .whisker { stroke: var(--text); stroke-width: 2.5; }
.legend {
  display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none;
  margin: .25rem 0 0; padding: 0; font-size: .9rem;
}
.legend svg {
  display: inline-block; width: 28px; height: 12px; margin-right: .4rem;
}
.s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); } .s2 { stroke: var(--c2); }
.s3 { stroke: var(--c3); } .s4 { stroke: var(--c4); } .s5 { stroke: var(--c5); }
.s6 { stroke: var(--c6); } .s7 { stroke: var(--c7); }
.f0 { fill: var(--c0); } .f1 { fill: var(--c1); } .f2 { fill: var(--c2); }
.f3 { fill: var(--c3); } .f4 { fill: var(--c4); } .f5 { fill: var(--c5); }
.f6 { fill: var(--c6); } .f7 { fill: var(--c7); }
.scroll {
  overflow: auto; max-height: 26rem;
  border: 1px solid var(--rule); border-radius: .5rem;
}
.scroll:focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; padding: .5rem .75rem; color: var(--faint); }
th, td {
  padding: .3rem .75rem; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums;
}
th {
  position: sticky; top: 0; background: var(--panel);
  border-bottom: 1px solid var(--rule);
}
tbody tr + tr td { border-top: 1px solid var(--rule); }
th.word, td.word { text-align: left; white-space: normal; overflow-wrap: anywhere; }
td.word { min-width: 8rem; }
figure th, figure td { padding: .25rem .5rem; }
figure table { font-size: .85rem; }
@media print {
  body { max-width: none; }
  .scroll { max-height: none; overflow: visible; }
  .chart { min-width: 0; }
}
"""
"""The style sheet."""
