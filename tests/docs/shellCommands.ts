/** The commands of a block of shell code, each as its words, with comments, pipes and environment taken off. */
export function shellCommands(code: string): string[][] {
  return code
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .flatMap((line) => commandsOf(line))
    .filter((words) => words.length > 0);
}

/** One line: `a | b` and `a && b` are two commands. */
function commandsOf(line: string): string[][] {
  const commands: string[][] = [[]];
  for (const [, quoted, ansi, plain] of line.matchAll(/(?:^|\s)(?:["']([^"']*)["']|\$'([^']*)'|([^\s"'][^\s]*))/g)) {
    if (plain?.startsWith('#') === true) break;
    if (plain === '|' || plain === '&&') commands.push([]);
    else commands.at(-1)?.push(quoted ?? ansi ?? (plain ?? '').replaceAll(/["']/g, ''));
  }
  return commands.map((words) => words.slice(words.findIndex((word) => !/^[A-Z_]+=/.test(word))));
}

/** What a command gives to `lowrank`, however it is called; undefined where it is another program. */
export function lowrankArguments(words: readonly string[]): readonly string[] | undefined {
  const launcher = /^(?:npx|bunx|pnpm|npm|exec|run|deno|bun|-A|--silent|--yes|-y)$/;
  const at = words.findIndex((word) => !launcher.test(word));
  return words[at] === 'lowrank' || words[at] === 'npm:lowrank' ? words.slice(at + 1) : undefined;
}
