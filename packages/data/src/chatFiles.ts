import { LowrankError } from '@lowrank/errors';
import type { ChatTemplate } from './chatTemplate.js';
import { chatTemplate } from './chatTemplate.js';
import type { TextFiles } from './textFiles.js';
import { readJson, readText, textFiles } from './textFiles.js';
import { specialTokensOf } from './tokenizer.js';

/**
 * The chat template of a Hugging Face model: chat_template.jinja, else `chat_template` of tokenizer_config.json (one,
 * or a list of named ones); undefined where there is none.
 *
 * @param place a folder on disk (Node), or files from anywhere
 * @param options.file a Jinja file on disk (Node) that takes its place
 * @throws LowrankError `data.chatTemplate` for what is no template, `data.missing` where `file` does not exist,
 * `data.json`
 */
export async function readChatTemplate(
  place: string | TextFiles,
  { file }: { readonly file?: string } = {},
): Promise<ChatTemplate | undefined> {
  const files = textFiles(place);
  const config = (await readJson(files, 'tokenizer_config.json')) ?? {};
  const specialTokens = specialTokensOf(config);
  if (file !== undefined) {
    const text = await readText(file);
    if (text !== undefined) return chatTemplate(text, { name: file, specialTokens });
    throw new LowrankError({
      code: 'data.missing',
      what: file,
      expected: 'a chat template in Jinja',
      got: 'nothing at that path',
    });
  }
  const text = await files.text('chat_template.jinja');
  if (text !== undefined) return chatTemplate(text, { name: `${files.name}/chat_template.jinja`, specialTokens });
  const name = `chat_template in ${files.name}/tokenizer_config.json`;
  const source = sourceOf(config['chat_template'], name);
  return source === undefined ? undefined : chatTemplate(source, { name, specialTokens });
}

function sourceOf(value: unknown, name: string): string | Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  const isNamed = (each: unknown): each is { name: string; template: string } =>
    typeof each === 'object' &&
    each !== null &&
    'name' in each &&
    typeof each.name === 'string' &&
    'template' in each &&
    typeof each.template === 'string';
  if (Array.isArray(value) && value.length > 0 && value.every(isNamed))
    return Object.fromEntries(value.map((each) => [each.name, each.template]));
  throw new LowrankError({
    code: 'data.chatTemplate',
    what: name,
    expected: 'a template in Jinja, or a list of {"name", "template"}',
    got: JSON.stringify(value).slice(0, 60),
  });
}
