/** Targets as people give them: ['all-linear'] is the word, not a name. */
export function targetsGiven(targets: readonly string[] | string): readonly string[] | string {
  return targets.length === 1 && targets[0] === 'all-linear' ? 'all-linear' : targets;
}
