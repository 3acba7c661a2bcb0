import { LowrankError } from '@lowrank/errors';
import { safeName } from '@lowrank/files/names';
import { webAddress, withoutSecrets } from '@lowrank/safetensors';
import { folderCache, repoFolder } from './cacheFolder.js';
import type { DownloadOptions } from './filesRemote.js';
import { downloadModel } from './filesRemote.js';
import type { HubId } from './hub.js';
import { parseHubId } from './hub.js';
import { isGgufName } from './ggufName.js';
import { remoteGguf } from './remoteGguf.js';
import { keyOf } from './hubUrl.js';
import type { TransferTiming } from './transferTiming.js';

const folderContents = {
  model: 'A model is a folder of Hugging Face (config.json, model.safetensors and tokenizer.json), or a GGUF file',
  adapter: 'An adapter folder is one of PEFT: adapter_config.json and adapter_model.safetensors',
} as const;

/** Options of `findModel`: how a folder, hub id or URL becomes files. */
export interface FindOptions extends Pick<
  DownloadOptions,
  'fetch' | 'onProgress' | 'onWarning' | 'signal' | 'pause' | 'timing'
> {
  /** What errors call it. Default: model. */
  readonly kind?: 'model' | 'adapter';
  /** Default: process.env. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/** A model or adapter on disk. */
export interface FoundModel {
  /** What was asked for: a folder as it was given, `owner/name`, a URL without user, password and query. */
  readonly name: string;
  readonly folder: string;
}

/**
 * The folder of a model or an adapter on this machine (Node), downloaded where it is not one yet.
 *
 * `text` is a folder; or `owner/name` or `owner/name@revision` on the hub; or the URL of a folder with such files. For
 * a model it may also be a GGUF file: its path, its URL, or `owner/name/file.gguf` on the hub; `folder` is then the
 * path of the file. A
 * folder that exists goes before a hub id of the same letters. The environment counts as for Python's huggingface_hub:
 * HF_ENDPOINT, HF_TOKEN (or the token that `hf auth login` left), HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE,
 * HF_HUB_DOWNLOAD_TIMEOUT; LOWRANK_URL_CREDENTIALS (`https://user:password@host`, several with blanks between them)
 * gives URLs of these hosts user and password. Models of the hub lie in its own cache, shared with Python; those of
 * other URLs in
 * `HF_HOME/lowrank`.
 *
 * @throws LowrankError `models.noFolder`, and what downloadModel throws
 */
export async function findModel(
  text: string,
  { env = process.env, kind = 'model', ...options }: FindOptions = {},
): Promise<FoundModel> {
  const { stat } = await import('node:fs/promises');
  const paths = await import('node:path');
  const found = await stat(text).catch(() => undefined);
  const isFile = found?.isFile() === true && kind === 'model' && isGgufName(text);
  if (found?.isDirectory() === true || isFile) return { name: text, folder: text };
  const endpoint = env['HF_ENDPOINT'] ?? 'https://huggingface.co';
  const gguf = found === undefined && kind === 'model' ? remoteGguf(text, hubHosts(endpoint)) : undefined;
  const place = gguf === undefined ? remoteOf(text, endpoint) : gguf.from;
  const from = found === undefined ? withCredentials(place, env['LOWRANK_URL_CREDENTIALS']) : undefined;
  if (from === undefined) {
    throw new LowrankError({
      code: 'models.noFolder',
      what: `${kind} folder ${withoutSecrets(text)}`,
      expected: 'a folder',
      got: found === undefined ? 'nothing at that path' : 'a file',
      remedy: `${folderContents[kind]}. A hub id (owner/name) or a URL will do too.`,
    });
  }
  const home = await hubHome(env);
  const hub = env['HF_HUB_CACHE'] ?? env['HUGGINGFACE_HUB_CACHE'] ?? paths.join(home, 'hub');
  const path =
    typeof from === 'string'
      ? paths.join(home, 'lowrank', await urlFolder(gguf === undefined ? from : text))
      : paths.join(hub, repoFolder(from.id));
  const { snapshot } = await downloadModel(from, {
    ...options,
    only: gguf?.file,
    timing: { ...timeoutOf(env), ...options.timing },
    endpoint,
    token: await tokenOf(env, home),
    offline: isOn(env['HF_HUB_OFFLINE']),
    cache: await folderCache(path),
  });
  const folder = paths.join(path, 'snapshots', snapshot);
  if (gguf !== undefined) {
    const name = typeof from === 'string' ? webAddress(text).shown : `${nameOf(from)}/${gguf.file}`;
    return { name, folder: paths.join(folder, gguf.file) };
  }
  return { name: typeof from === 'string' ? webAddress(from).shown : nameOf(from), folder };
}

/** A folder, hub id or URL as tables and messages may show it: URLs without user, password and query. */
export const shownPlace = (text: string): string =>
  /^https?:\/\//.test(text) && URL.canParse(text) ? webAddress(text).shown : text;

const nameOf = ({ id, revision }: HubId): string => (revision === 'main' ? id : `${id}@${revision}`);

const hubHosts = (endpoint: string): string[] => [new URL(webAddress(endpoint).url).host, 'huggingface.co', 'hf.co'];

/** A page of the hub is its repository; any other URL is a folder. */
function remoteOf(text: string, endpoint: string): HubId | string | undefined {
  if (!/^https?:\/\//.test(text)) return parseHubId(text);
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const [owner, name, kind, ...revision] = url.pathname.split('/').filter((part) => part !== '');
  const isPage =
    hubHosts(endpoint).includes(url.host) &&
    owner !== undefined &&
    name !== undefined &&
    (kind === undefined || kind === 'tree');
  if (!isPage) return text;
  try {
    return parseHubId(decodeURIComponent(`${owner}/${name}${revision.length === 0 ? '' : `@${revision.join('/')}`}`));
  } catch {
    // What cannot be decoded is no name of the hub either.
    return undefined;
  }
}

/** A URL without user and password gets those of its own origin. */
function withCredentials<From>(from: From, given: string | undefined): From | string {
  if (typeof from !== 'string' || given === undefined) return from;
  const url = new URL(from);
  if (url.username !== '' || url.password !== '') return from;
  const own = given
    .split(/\s+/)
    .flatMap((entry) => (URL.canParse(entry) ? [new URL(entry)] : []))
    .find(({ origin }) => origin === url.origin);
  if (own === undefined) return from;
  [url.username, url.password] = [own.username, own.password];
  return url.href;
}

/** Seconds that a server may be silent, as huggingface_hub reads them. */
function timeoutOf(env: Readonly<Record<string, string | undefined>>): Partial<TransferTiming> {
  const seconds = Number(env['HF_HUB_DOWNLOAD_TIMEOUT']);
  return Number.isFinite(seconds) && seconds > 0 ? { answer: seconds * 1000, stall: seconds * 1000 } : {};
}

/** The folder in which the hub's cache and Lowrank's own lie: HF_HOME, as huggingface_hub finds it. */
export async function hubHome(env: Readonly<Record<string, string | undefined>>): Promise<string> {
  const paths = await import('node:path');
  const { homedir } = await import('node:os');
  return env['HF_HOME'] ?? paths.join(env['XDG_CACHE_HOME'] ?? paths.join(homedir(), '.cache'), 'huggingface');
}

/** Names the cache of a URL after what may be shown of it. */
async function urlFolder(text: string): Promise<string> {
  const shown = webAddress(text).shown.replace(/\/+$/, '');
  const key = await keyOf(shown);
  const words = shown
    .replace(/^https?:\/\//, '')
    .replace(/[^\w.-]+/g, '-')
    .slice(0, 80);
  return safeName(`${words}-${key.slice(4, 12)}`, { what: 'the folder of a URL in the cache' });
}

async function tokenOf(env: Readonly<Record<string, string | undefined>>, home: string): Promise<string | undefined> {
  const given = env['HF_TOKEN']?.trim();
  if (given !== undefined && given !== '') return given;
  const { readFile } = await import('node:fs/promises');
  const paths = await import('node:path');
  const kept = (await readFile(env['HF_TOKEN_PATH'] ?? paths.join(home, 'token'), 'utf8').catch(() => ''))?.trim();
  return kept === '' ? undefined : kept;
}

const isOn = (value: string | undefined): boolean =>
  value !== undefined && ['1', 'true', 'yes', 'on'].includes(value.toLowerCase());
