import type { ConfigReader } from './config.js';
import type { FamilyFacts } from './familyFacts.js';

/** A family's dropouts where it does not say: their keys, and the values of the config class. */
export const usualDropouts: Readonly<Record<string, number>> = { attention_dropout: 0 };

/** The dropouts of a config that are above 0, each with its value. */
export function dropoutsOf(
  config: ConfigReader,
  { dropouts = usualDropouts }: Pick<FamilyFacts, 'dropouts'>,
): string[] {
  return Object.entries(dropouts).flatMap(([key, otherwise]) => {
    const rate = config.optionalNumber(key, otherwise) ?? 0;
    return rate > 0 ? [`${key} ${rate}`] : [];
  });
}
