import { describe, expect, it } from 'vitest';
import { expectLikeTransformers, golden, optionsOf, templateOf } from './testing/chatGolden.js';
import { renderChat } from './chat.js';
import { chatTemplate } from './chatTemplate.js';
import { complaint } from './testing.js';

describe.each(Object.entries(golden.cases))(
  'template %s: text, tokens and masks are those of transformers',
  (name, cases) => {
    const template = templateOf(golden.templates[name] ?? '');
    it.each(
      cases.map(
        (asked) =>
          [
            JSON.stringify({
              ...asked,
              text: undefined,
              'ids.bytes': undefined,
              'ids.pieces': undefined,
              'mask.bytes': undefined,
              'mask.pieces': undefined,
            }),
            asked,
          ] as const,
      ),
    )('%s', async (_, asked) => {
      await expectLikeTransformers(template, asked);
    });
  },
);

it('named templates: tool_use for chats with tools, default for others', () => {
  const template = templateOf(golden.named.templates);
  for (const asked of golden.named.cases)
    expect(renderChat(golden.chats[asked.chat] ?? [], { template, ...optionsOf(asked) })).toBe(asked.text);
  expect([template.marksGeneration(), template.marksGeneration({ tools: [] })]).toEqual([false, true]);
});

describe('refused', () => {
  it('a template whose syntax is not known, with its name', async () => {
    const { code, message } = await complaint(() => chatTemplate('{% for x in %}', { name: 'm/chat_template.jinja' }));
    expect(code).toBe('data.chatTemplate');
    expect(message).toMatch(/^m\/chat_template\.jinja: expected a Jinja template/);
  });

  it('named templates without a default', async () => {
    const template = chatTemplate({ rag: 'x' });
    expect((await complaint(() => template.render([]))).message).toContain(
      'expected a template by the name of default, got rag',
    );
  });

  it('what is no message, and what cannot be continued', async () => {
    const template = templateOf(golden.templates['plain'] ?? '');
    expect((await complaint(() => template.render([{ content: 'x' } as never]))).message).toContain(
      'expected an object with a role',
    );
    const continued = (
      messages: Parameters<typeof template.render>[0],
      field: string | boolean = true,
    ): Promise<{ message: string }> => complaint(() => template.render(messages, { continueFinalMessage: field }));
    expect((await continued([])).message).toContain('a chat of at least one message');
    expect((await continued([{ role: 'user' }])).message).toContain('expected a final message with "content"');
    expect((await continued([{ role: 'user', content: 'x', reasoning: 'y' }], 'reasoning')).message).toContain(
      'a key that the template reads',
    );
    expect((await continued([{ role: 'user', content: [{ type: 'image' }] }])).message).toContain('a part with text');
    const dropping = templateOf('{% for m in messages %}{{ m.role if "content" else 0 }}{% endfor %}');
    expect(
      (await complaint(() => dropping.render([{ role: 'user', content: 'x' }], { continueFinalMessage: true })))
        .message,
    ).toContain('a template that leaves it out');
  });
});

it('chats may hold characters of the private use area', () => {
  const template = templateOf(golden.templates['marked'] ?? '');
  const { text, generated } = template.render([
    { role: 'user', content: '\uE0F0' },
    { role: 'assistant', content: 'a\uE0F1b' },
  ]);
  expect(text).toContain('\uE0F0');
  expect(generated.map(({ start, end }) => text.slice(start, end))).toEqual(['a\uE0F1b<|im_end|>']);
});
