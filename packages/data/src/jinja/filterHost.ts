import type { Host } from './methods.js';
import type { CallArguments, Value } from './values.js';

/** What filters need beyond methods: other filters, tests, items. */
export interface FilterHost extends Host {
  filter(name: string, value: Value, args: CallArguments): Value;
  test(name: string, value: Value, args: CallArguments): boolean;
  item(object: Value, key: Value): Value;
  ownAttribute(object: Value, name: string): Value | undefined;
}

export type Filter = (value: Value, args: CallArguments, host: FilterHost) => Value;

export function filterHost(host: FilterHost): FilterHost {
  return host;
}
