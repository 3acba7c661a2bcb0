import { isGgufName } from './ggufName.js';
import type { HubId } from './hub.js';
import { parseHubId } from './hub.js';

/** A GGUF file in a repository of the hub, or below a URL. */
export interface RemoteGguf {
  /** Where it lies. */
  readonly from: HubId | string;
  readonly file: string;
}

/**
 * The file that a text names: `owner/name/file.gguf`, `owner/name@revision/file.gguf`, its page on a hub, or any other
 * URL; undefined for what is none.
 *
 * @param hubs hosts whose pages are repositories
 */
export function remoteGguf(
  text: string,
  hubs: readonly string[] = ['huggingface.co', 'hf.co'],
): RemoteGguf | undefined {
  if (!isGgufName(text)) return undefined;
  if (!URL.canParse(text) || !/^https?:/.test(text)) return inRepository(text);
  const url = new URL(text);
  const parts = url.pathname.split('/').filter((part) => part !== '');
  const file = decoded(parts.at(-1) ?? '');
  const [owner, name, kind, revision] = parts;
  if (hubs.includes(url.host) && parts.length === 5 && (kind === 'resolve' || kind === 'blob'))
    return inRepository(`${owner}/${name}@${decoded(revision ?? 'main')}/${file}`);
  url.pathname = parts
    .slice(0, -1)
    .map((part) => `/${part}`)
    .join('');
  return { from: url.href, file };
}

function inRepository(text: string): RemoteGguf | undefined {
  const [, id = '', file = ''] = /^(.+)\/([\w-][\w.-]*)$/.exec(text) ?? [];
  const from = parseHubId(id);
  return from === undefined ? undefined : { from, file };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // What cannot be decoded is looked for as it is.
    return part;
  }
}
