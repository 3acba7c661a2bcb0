import type { TextFiles } from '@lowrank/data';
import { textFiles } from '@lowrank/data';
import type { ModelFiles } from '@lowrank/models';
import { isGgufName, openFolder } from '@lowrank/models';
import { asTextFiles } from '../front/modelSource.js';

/** What tokenizers and chat templates of a model are read from: its folder, or what a GGUF file says of them. */
export function modelTexts(place: string): TextFiles {
  if (!isGgufName(place)) return textFiles(place);
  let files: Promise<ModelFiles> | undefined;
  return { name: place, text: async (name) => asTextFiles(await (files ??= openFolder(place))).text(name) };
}
