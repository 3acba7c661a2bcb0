import type { TextFiles } from '@lowrank/data';
import { textFiles, tokenizerFileNames } from '@lowrank/data';
import { modelTexts } from './modelTexts.js';

/**
 * The files that texts are read and written with: an adapter's own tokenizer where its folder has one (tokens were
 * added
 * to it, or a template), as PEFT's AutoPeftModel takes it; else the model's.
 */
export async function tokenizerFiles(model: string, adapter: string | undefined): Promise<TextFiles> {
  const base = modelTexts(model);
  if (adapter === undefined) return base;
  const own = textFiles(adapter);
  const config = await own.text('tokenizer.json');
  if (config === undefined) return base;
  const names = new Set(tokenizerFileNames);
  const ofTokenizer = (name: string): boolean => names.has(name) || name.startsWith('additional_chat_templates/');
  const hasTemplate =
    (await own.text('chat_template.jinja')) !== undefined ||
    ((await own.text('tokenizer_config.json')) ?? '').includes('"chat_template"');
  return {
    name: own.name,
    text: (name) => {
      const ofTemplate = name.includes('chat_template');
      return (ofTokenizer(name) && (hasTemplate || !ofTemplate) ? own : base).text(name);
    },
  };
}

/** The texts of an adapter's own tokenizer, by name; none where its folder has no tokenizer. */
export async function ownTokenizer(adapter: string): Promise<Record<string, string>> {
  const files = textFiles(adapter);
  if ((await files.text('tokenizer.json')) === undefined) return {};
  const texts: Record<string, string> = {};
  for (const name of tokenizerFileNames) {
    const text = await files.text(name);
    if (text !== undefined) texts[name] = text;
  }
  return texts;
}
