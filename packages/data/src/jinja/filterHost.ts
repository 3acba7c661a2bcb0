import type { Host } from './methods.js';
import type { CallArguments, JinjaValue } from './values.js';

/** What filters need beyond methods: other filters, tests, items. */
export interface FilterHost extends Host {
  filter(name: string, value: JinjaValue, args: CallArguments): JinjaValue;
  test(name: string, value: JinjaValue, args: CallArguments): boolean;
  item(object: JinjaValue, key: JinjaValue): JinjaValue;
  ownAttribute(object: JinjaValue, name: string): JinjaValue | undefined;
}

export type Filter = (value: JinjaValue, args: CallArguments, host: FilterHost) => JinjaValue;

export function filterHost(host: FilterHost): FilterHost {
  return host;
}
