"""The look of the results page: one style sheet for light and dark, wide and narrow screens."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --ink: #16202c; --soft: #5a6776; --line: #dfe4ea;
  --accent: #2457d6; --accent-soft: #e8eefc; --right: #14713a; --right-soft: #e3f4e9; --wrong: #b3261e;
  --wrong-soft: #fbe9e7; --shadow: 0 1px 2px rgb(16 24 40 / 6%), 0 4px 14px rgb(16 24 40 / 5%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0e1318; --card: #171e26; --ink: #e8edf3; --soft: #9aa8b7; --line: #2a3440;
    --accent: #8cb0ff; --accent-soft: #1d2b4a; --right: #6fd598; --right-soft: #163323; --wrong: #ff9b92;
    --wrong-soft: #3d1c1a; --shadow: none;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main, header, footer { max-width: 1160px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 44px; }
h1 { font-size: clamp(1.6rem, 4vw, 2.3rem); line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.02em; }
h2 { font-size: 1.3rem; margin: 48px 0 4px; letter-spacing: -0.01em; }
p { margin: 0 0 16px; max-width: 75ch; }
.soft, .note { color: var(--soft); }
.note { font-size: 0.875rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; box-shadow: var(--shadow); }
.tags { display: flex; flex-wrap: wrap; gap: 8px; list-style: none; margin: 14px 0 0; padding: 0; font-size: 0.875rem; }
.tags li { padding: 3px 12px; border-radius: 99px; background: var(--accent-soft); color: var(--accent); }
.numbers { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(235px, 1fr)); margin-top: 26px; }
.number { padding: 16px 18px 18px; }
.number h3 { margin: 0; font-size: 0.875rem; font-weight: 600; color: var(--soft); }
.number .value { font-size: 2rem; font-weight: 700; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.number .value small {
  display: block; font-size: 0.875rem; font-weight: 500; color: var(--soft); letter-spacing: 0; margin-top: -4px;
}
.number svg { display: block; width: 100%; height: 22px; margin-top: 2px; overflow: visible; }
.number .ends { font-size: 0.8rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.rail { stroke: var(--line); stroke-width: 4; stroke-linecap: round; }
.span { stroke: var(--accent); stroke-width: 11; stroke-linecap: round; opacity: 0.28; }
.dot { fill: var(--accent); }

.table { overflow-x: auto; margin: 12px 0; }
table { border-collapse: collapse; width: 100%; font-size: 0.925rem; font-variant-numeric: tabular-nums; }
th, td { padding: 8px 11px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, td.source, th.source { text-align: left; }
thead th { color: var(--soft); font-weight: 600; font-size: 0.825rem; }
thead tr:first-child th { border-bottom: 0; padding-bottom: 0; }
th.way { text-align: center; color: var(--ink); }
tbody tr:last-child > * { border-bottom: 0; }
tbody th { font-weight: 500; }
thead td { border-bottom: 0; }
tr.ours > * { background: var(--accent-soft); font-weight: 700; }
tr.ours td.source { font-weight: 500; }
.source { color: var(--soft); font-size: 0.8rem; line-height: 1.3; min-width: 210px; }
td.source { white-space: normal; }
tr.ours small { display: block; font-size: 0.775rem; font-weight: 500; color: var(--soft); line-height: 1.2; }
.way-start { border-left: 1px solid var(--line); }
.finds { display: grid; gap: 18px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); }
.find { overflow: hidden; display: flex; flex-direction: column; }
.find > img, .find > .missing { width: 100%; height: 220px; object-fit: contain; background: #0001; }
.missing {
  display: grid; place-items: center; text-align: center; padding: 12px; color: var(--soft); font-size: 0.825rem;
  overflow-wrap: anywhere; background: repeating-linear-gradient(135deg, var(--ground) 0 10px, var(--line) 10px 11px);
}
.find .body { padding: 14px 16px 16px; }
.rank { font-size: 0.825rem; color: var(--soft); margin: 0 0 8px; }
.rank b { color: var(--ink); }
ol.sentences { list-style: none; margin: 0; padding: 0; display: grid; gap: 7px; }
ol.sentences li { display: grid; grid-template-columns: 24px 1fr; gap: 9px; font-size: 0.925rem; line-height: 1.4; }
.mark {
  width: 22px; height: 22px; border-radius: 50%; display: grid; place-items: center;
  font-size: 0.8rem; font-weight: 700;
}
.right .mark { background: var(--right-soft); color: var(--right); }
.wrong .mark { background: var(--wrong-soft); color: var(--wrong); }
.right .words { font-weight: 600; }
.said { font-weight: 600; margin: 0 0 4px; line-height: 1.35; }
ul.people { margin: 0; padding: 0 0 0 18px; color: var(--soft); font-size: 0.875rem; line-height: 1.4; }
.asks { padding: 16px 18px 18px; margin-bottom: 16px; }
.asks blockquote { margin: 0 0 2px; font-size: 1.05rem; font-weight: 600; }
ol.pictures {
  list-style: none; margin: 0; padding: 0; display: grid; gap: 10px; grid-template-columns: repeat(5, minmax(0, 1fr));
}
ol.pictures li { position: relative; }
ol.pictures img, ol.pictures .missing {
  width: 100%; height: auto; aspect-ratio: 4 / 3; object-fit: contain; background: #0001;
  border-radius: 10px; display: grid;
}
ol.pictures li.right img, ol.pictures li.right .missing { outline: 3px solid var(--right); outline-offset: 2px; }
ol.pictures .mark { position: absolute; top: 7px; left: 7px; box-shadow: 0 1px 4px rgb(0 0 0 / 45%); }
details { padding: 12px 18px; margin: 12px 0; }
summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; font-size: 0.8rem; line-height: 1.45; margin: 12px 0 4px; }
footer { padding-top: 32px; padding-bottom: 48px; color: var(--soft); font-size: 0.875rem; }
a:focus-visible, summary:focus-visible, .table:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
@media (max-width: 640px) {
  main, header, footer { padding-left: 14px; padding-right: 14px; }
  header { padding-top: 26px; }
  .numbers { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px; }
  .number { padding: 12px 13px 14px; }
  .number .value { font-size: 1.55rem; }
  th, td { padding: 7px 9px; }
  tbody th, thead th:first-child {
    position: sticky; left: 0; background: var(--card); max-width: 150px; white-space: normal;
  }
  tr.ours th { background: var(--accent-soft); }
  ol.pictures { grid-template-columns: repeat(3, minmax(0, 1fr)); }
}
"""
