import { darkRules } from '../charts/theme.js';
import { escapeMarkup } from '../markup.js';

const style = `
:root { color-scheme: light dark; --paper: #ffffff; --text: #1b2733; --faint: #5c6b79; --line: #dde3ea;
  --shade: #f4f7fa; --best: #e7f4ec; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --paper: #12181f; --text: #e6edf3; --faint: #9aa7b3; --line: #2b353f;
  --shade: #1a222b; --best: #173226; --accent: #4c9fe8; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--paper); max-width: 1140px;
  margin: 2rem auto; padding: 0 1rem; }
h1, h2, p { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
.left { text-align: left; }
.text { white-space: pre-wrap; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
.best td { background: var(--best); font-weight: 600; }
figure { margin: 2rem 0; overflow-x: auto; }
svg { max-width: 100%; min-width: 760px; height: auto; }
`;

export interface PageOptions {
  /** Rules of this page alone. */
  readonly style?: string;
  /** It reloads itself after that many seconds; undefined: never. */
  readonly reloadSeconds?: number | undefined;
}

/**
 * A page that needs no other file, light or dark as the reader prefers. It loads nothing and runs nothing, and tells
 * the browser so: whatever texts it shows.
 */
export function page(title: string, body: readonly string[], options: PageOptions = {}): string {
  const { reloadSeconds } = options;
  const reload = reloadSeconds === undefined ? '' : `<meta http-equiv="refresh" content="${reloadSeconds}">\n`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
${reload}<link rel="icon" href="data:,">
<title>${escapeMarkup(title)}</title>
<style>${style}${options.style ?? ''}${darkRules()}</style>
<h1>${escapeMarkup(title)}</h1>
${body.join('\n')}
</html>
`;
}
