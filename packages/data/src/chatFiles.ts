import { LowrankError, shown } from '@lowrank/errors';
import type { ChatTemplate } from './chat.js';
import type { TextFiles } from './textFiles.js';
import { readOptionalJson, readText, textFiles } from './textFiles.js';
import { folderTokens } from './tokenizers/folderTokens.js';
import { classPipeline } from './tokenizers/tokenizerClass.js';

/**
 * The chat template of a Hugging Face model: chat_template.jinja with `additional_chat_templates/*.jinja`, else
 * `chat_template` of tokenizer_config.json (one,
 * or a list of named ones); undefined where there is none.
 *
 * @param place a folder on disk (Node), or files from anywhere
 * @param options `file`: a Jinja file on disk (Node) that takes its place
 * @throws LowrankError `data.chatTemplate` for what is no template, `data.missing` where `file` does not exist,
 * `data.json`
 */
export async function readChatTemplate(
  place: string | TextFiles,
  { file }: { readonly file?: string } = {},
): Promise<ChatTemplate | undefined> {
  const files = textFiles(place);
  const config = (await readOptionalJson(files, 'tokenizer_config.json')) ?? {};
  const specialTokens = await namedTokens(files, config);
  if (file !== undefined) {
    const text = await readText(file);
    if (text !== undefined) return compiled(text, { name: file, specialTokens });
    throw new LowrankError({
      code: 'data.missing',
      what: file,
      expected: 'a chat template in Jinja',
      got: 'nothing at that path',
    });
  }
  const own = await ownFiles(files);
  if (own !== undefined) return compiled(own, { name: `${files.name}/chat_template.jinja`, specialTokens });
  const name = `chat_template in ${files.name}/tokenizer_config.json`;
  const source = sourceOf(config['chat_template'], name);
  return source === undefined ? undefined : compiled(source, { name, specialTokens });
}

/**
 * chat_template.jinja and the named templates beside it, which come before those of tokenizer_config.json; undefined
 * where there is neither.
 */
async function ownFiles(files: TextFiles): Promise<string | Record<string, string> | undefined> {
  const alone = await files.text('chat_template.jinja');
  const named: Record<string, string> = alone === undefined ? {} : { default: alone };
  // These two are chosen by what a chat is; others only by someone who asks for them.
  for (const name of ['default', 'tool_use']) {
    const text = await files.text(`additional_chat_templates/${name}.jinja`);
    if (text !== undefined) named[name] = text;
  }
  return Object.keys(named).length === 0 ? undefined : named;
}

/** The special tokens as the tokenizer names them. */
async function namedTokens(files: TextFiles, config: Record<string, unknown>): Promise<Record<string, string>> {
  const [tokenizer, model, specialTokensMap] = await Promise.all([
    readOptionalJson(files, 'tokenizer.json'),
    readOptionalJson(files, 'config.json'),
    readOptionalJson(files, 'special_tokens_map.json'),
  ]);
  const text = (key: string): string | undefined => {
    const value = model?.[key];
    return typeof value === 'string' ? value : undefined;
  };
  const json = tokenizer ?? {};
  const { defaults } = classPipeline(json, config, {
    modelType: text('model_type'),
    modelClass: text('tokenizer_class'),
  });
  return { ...folderTokens(json, { config, specialTokensMap }, { defaults, known: [] }).named };
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
    got: shown(value, 60),
  });
}

/** Jinja is loaded where there is a template. */
async function compiled(
  source: string | Readonly<Record<string, string>>,
  options: { readonly name: string; readonly specialTokens: Readonly<Record<string, string>> },
): Promise<ChatTemplate> {
  return (await import('./chatTemplate.js')).chatTemplate(source, options);
}
