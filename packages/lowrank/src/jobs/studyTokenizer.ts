import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TextTokenizer } from '@lowrank/data';
import { readTokenizer } from '@lowrank/data';
import { findFamily, findModel, isGgufName, openFolder, readJson } from '@lowrank/models';
import { modelTexts } from './modelTexts.js';

/** Characters of texts whose ids are kept. */
const keptCharacters = 50e6;

let kept: { readonly key: string; readonly tokenizer: TextTokenizer } | undefined;

/**
 * The tokenizer of a model folder or hub id, which remembers what it encoded: the runs of a study read the same rows.
 * The last one is kept, as long as its file stays what it is. Undefined for a model that reads images.
 */
export async function studyTokenizer(model: string): Promise<TextTokenizer | undefined> {
  const { folder } = await findModel(model, { kind: 'model' });
  if (!isGgufName(folder) && (await readsImages(folder))) return undefined;
  const file = await stat(isGgufName(folder) ? folder : join(folder, 'tokenizer.json')).catch(() => undefined);
  const key = `${folder} ${file?.size} ${file?.mtimeMs}`;
  if (kept?.key !== key) kept = { key, tokenizer: remembering(await readTokenizer(modelTexts(folder))) };
  return kept.tokenizer;
}

async function readsImages(folder: string): Promise<boolean> {
  const { model_type: type } = await readJson(await openFolder(folder), 'config.json');
  return findFamily(type)?.readsImages === true;
}

export function remembering(tokenizer: TextTokenizer): TextTokenizer {
  const known = [new Map<string, readonly number[]>(), new Map<string, readonly number[]>()] as const;
  let characters = 0;
  return {
    ...tokenizer,
    encode(text, { addSpecialTokens = true } = {}) {
      const texts = known[addSpecialTokens ? 1 : 0];
      const found = texts.get(text);
      if (found !== undefined) return [...found];
      const ids = tokenizer.encode(text, { addSpecialTokens });
      characters += text.length;
      if (characters <= keptCharacters) texts.set(text, [...ids]);
      return ids;
    },
  };
}
