import type { Settings } from './settings';
import { defaults, readSettings } from './settings';

/** What a link carries: the settings that are not the defaults, and which example the rows are. Never the rows. */
export interface Linked {
  readonly settings: Settings;
  /** Undefined where the rows are a person's own. */
  readonly example: string | undefined;
}

/** The fragment of a link, which no browser sends to a server. */
export function toFragment({ settings, example }: Linked): string {
  const changed = Object.entries(settings).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(defaults[name as keyof Settings]),
  );
  const model = settings.model.kind === 'files' ? [['model', defaults.model] as const] : [];
  const values = { ...Object.fromEntries([...changed, ...model]), ...(example === undefined ? {} : { example }) };
  return `#settings=${encodeURIComponent(JSON.stringify(values))}`;
}

/** What a fragment says; undefined for any other fragment. */
export function fromFragment(fragment: string): Linked | undefined {
  const [, text] = /^#settings=(.+)$/.exec(fragment) ?? [];
  if (text === undefined) return undefined;
  try {
    const values = JSON.parse(decodeURIComponent(text)) as Readonly<Record<string, unknown>> | null;
    const example = values?.['example'];
    return { settings: readSettings(values), example: typeof example === 'string' ? example : undefined };
  } catch {
    return undefined;
  }
}
