import type { Settings } from './settings';

/** Where on the page something went wrong: it is said there. */
export type Place = 'page' | 'model' | 'rows' | 'run' | 'adapters' | 'write' | 'export';

/** What the parts of the page's state have of each other. */
export interface Shared {
  readonly settings: Settings;
  /** Does something that may fail, and says so in its place. Resolves with whether it went well. */
  attempt(place: Place, during: string, work: () => unknown): Promise<boolean>;
  notice(text: string): void;
  /** Writes something into the browser's database. */
  keep(name: string, value: unknown): Promise<void>;
}
