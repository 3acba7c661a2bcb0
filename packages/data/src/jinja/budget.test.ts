import { expect, it } from 'vitest';
import { chatTemplate } from '../chatTemplate.js';
import { parseJsonl } from '../readRows.js';
import { complaint } from '../testing.js';

const lines = 'x\n'.repeat(200_000);
const long = 'y'.repeat(100_000);
const deep = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

/** Templates that would write gigabytes; `text` is a message of 400,000 characters, `wide` one of 100,000. */
it.each([
  '{{ text | indent(10000) }}',
  '{{ text | indent(wide) }}',
  '{{ text | indent(wide, true, true) }}',
  '{{ text | indent(1000) | indent(1000) }}',
  '{{ messages | tojson(indent=1000000) | indent(10000) }}',
  '{{ [[[[text.split("\\n")]]]] | tojson(indent=wide) }}',
  '{{ (text | replace("x", "\t")).expandtabs(9999) }}',
  '{{ "\t".expandtabs(10 ** 9) }}',
  '{{ text * 100000 }}',
  '{{ text.replace("x", wide) }}',
  '{{ text | replace("\\n", wide) }}',
  '{{ text.split("\\n") | join(wide) }}',
  '{{ wide.join(text.split("\\n")) }}',
  '{{ "a".center(10 ** 9) }}',
  '{{ "%1000000000d" % 3 }}',
  '{{ "{:1000000000}".format(3) }}',
  '{% set ns = namespace(t=text) %}{% for i in range(40) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}{{ ns.t }}',
  '{% for i in range(10 ** 9) %}{% endfor %}',
  '{{ range(10 ** 9) | list | length }}',
  '{{ range(10 ** 9) | sum }}',
  '{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}',
  '{{ raise_exception(*range(10 ** 9)) }}',
])('%s ends soon, with an error', async (source) => {
  const template = chatTemplate(`{% set text = messages[0].content %}{% set wide = messages[1].content %}${source}`);
  const messages = [
    { role: 'user', content: lines },
    { role: 'user', content: long },
  ];
  const begin = process.cpuUsage();
  const memory = process.memoryUsage().rss;
  const { code } = await complaint(() => template.render(messages));
  expect(code).toBe('data.chat');
  expect(process.cpuUsage(begin).user / 1000).toBeLessThan(2000);
  expect(process.memoryUsage().rss - memory).toBeLessThan(300 * 2 ** 20);
});

it('indenting what templates indent costs what it writes', () => {
  const template = chatTemplate('{{ messages[0].content | indent(2) }}');
  expect(template.render([{ role: 'user', content: 'a\nb\n' }]).text).toBe('a\n  b\n');
  const negative = chatTemplate('{{ messages[0].content | indent(-2) }}{{ [1] | tojson(indent=-1) }}');
  expect(negative.render([{ role: 'user', content: 'a\nb' }]).text).toBe('a\nb[\n1\n]');
  expect(template.render([{ role: 'user', content: lines }]).text).toHaveLength(4 * 200_000 - 2);
});

it('rows may lie deep, and are refused where a template walks down', async () => {
  const row = (depth: number): string => `{"messages":[{"role":"user","content":${deep(depth)}}]}`;
  const [flat, steep] = await parseJsonl([row(100), row(200_000)].join('\n'));
  const template = chatTemplate('{{ messages[0].content | tojson }}');
  const render = (given: typeof flat): string =>
    given !== undefined && 'messages' in given ? template.render(given.messages).text : 'no messages';
  expect(render(flat)).toBe(deep(100));
  const { code } = await complaint(() => render(steep));
  expect(code).toBe('data.chat');
});
