import { isLowrankError, LowrankError } from '@lowrank/errors';
import { CommanderError } from 'commander';
import type { Command } from 'commander';
import { makeActions } from './commands.js';
import { flagWith } from './flagNames.js';
import type { Io } from './io.js';
import { Speaker } from './io.js';
import { makeProgram } from './program.js';
import { remedies } from './remedies.js';

/**
 * Exit codes: all done; a defect of ours; something the reader can mend; ended by Ctrl-C, with what was learned saved.
 */
export const exitCodes = { done: 0, defect: 1, complaint: 2, interrupted: 130 } as const;

/**
 * Runs one command line and returns its exit code; it touches the process only through `io`.
 *
 * Prints a LowrankError in one sentence (exit code 2), any other error with its stack (1). With `--json` the last line
 * of stdout is then {"error": {code, message}}.
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const speaker = new Speaker(io, argv.includes('--json'));
  let code: number = exitCodes.done;
  const actions = makeActions(speaker, () => (code = exitCodes.interrupted));
  const program = makeProgram(actions);
  for (const command of [program, ...program.commands]) quiet(command, speaker);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    return complain(error, speaker);
  }
}

/** commander neither exits nor prints errors: that is done in one place. */
function quiet(command: Command, { io }: Speaker): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => io.stdout(text),
    writeErr: (text) => io.stderr(text),
    outputError: () => undefined,
  });
}

function complain(error: unknown, speaker: Speaker): number {
  if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done;
  // Without a command, commander has printed the help.
  if (error instanceof CommanderError && error.code === 'commander.help') return exitCodes.complaint;
  const reported = error instanceof CommanderError ? usageError(error) : error;
  if (isLowrankError(reported)) {
    const message = withRemedy(reported);
    speaker.say(`lowrank: ${message}\n${errorPage(reported.code)}`);
    speaker.line({ error: { code: reported.code, message } });
    return exitCodes.complaint;
  }
  speaker.say(reported instanceof Error ? (reported.stack ?? reported.message) : String(reported));
  speaker.line({
    error: { code: 'internal', message: reported instanceof Error ? reported.message : String(reported) },
  });
  return exitCodes.defect;
}

/** The sentence, and what to do where it does not say so itself. */
function withRemedy(error: LowrankError): string {
  const message = error.messageWith(flagWith);
  const remedy = error.remedy === undefined ? remedies[error.code] : undefined;
  return remedy === undefined ? message : `${message.replace(/\.$/, '')}. ${remedy}`;
}

/** Where the site says what the code means. */
function errorPage(code: string): string {
  return `${site}errors#${code.replace('.', '-').toLowerCase()}`;
}

const site = 'https://lowrank.github.io/lowrank/';

function usageError(error: CommanderError): LowrankError {
  const [what = error.message] = error.message.replace(/^error: /, '').split(/\.?\n|\.$/);
  const hint = /\(Did you mean [^)]*\)/.exec(error.message)?.[0];
  return new LowrankError({
    code: 'cli.usage',
    what: hint === undefined ? what : `${what} ${hint}`,
    remedy: '`lowrank --help` and `lowrank COMMAND --help` list what there is.',
    cause: error,
  });
}
