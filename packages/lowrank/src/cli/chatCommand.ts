import { isLowrankError, LowrankError } from '@lowrank/errors';
import { wholeNumber } from '@lowrank/settings';
import type { Backend } from '@lowrank/tensor';
import type { Command } from 'commander';
import type { ChatSession } from '../jobs/chat.js';
import { openChat } from '../jobs/chat.js';
import type { TransferEvents } from '../jobs/folders.js';
import type { QuantizationOptions } from '../jobs/quantization.js';
import type { Speaker } from './io.js';
import { numberFlag } from './numbers.js';
import type { SamplingFlags } from './samplingFlags.js';
import { addSamplingFlags, listOf } from './samplingFlags.js';

export interface ChatFlags extends SamplingFlags, QuantizationOptions {
  model: string;
  adapter?: string[];
  template?: string;
  system?: string;
  maxNewTokens?: number;
  json: boolean;
}

/** The flags of `chat` alone: those it shares with other commands are added by the program. */
export function addChatFlags(command: Command): Command {
  command
    .option(
      '--adapter <adapter>',
      'PEFT adapter, or name=adapter; several to switch between, of which the first begins',
      listOf,
    )
    .option('--template <file>', "chat template in Jinja (default: the model's)")
    .option('--system <text>', 'system message')
    .option(
      '--max-new-tokens <n>',
      'tokens of an answer at most (default: 512, or half of the context)',
      numberFlag('--max-new-tokens', wholeNumber({ min: 1 })),
    );
  return addSamplingFlags(command, { temperature: 0.7, topP: 0.95 }).addHelpText(
    'after',
    `\nWithin the chat:\n${help}\n\nExample:\n  $ lowrank chat --model ./llama-instruct --adapter ` +
      'poet=./poet --adapter clerk=./clerk --system "Be brief."',
  );
}

const help = `  /adapter NAME   use another adapter from now on; none for the base model; without a name: list them
  /reset          forget the conversation
  /system TEXT    start over with this system message; without a text: with none
  /help           this list
  /exit           end, as does the end of the input`;

interface Talk {
  readonly chat: ChatSession;
  readonly speaker: Speaker;
}

/** Talks until /exit or the end of the input. Answers are stdout, all else is stderr. */
export async function chatCommand(
  flags: ChatFlags & TransferEvents,
  { backend, speaker }: { readonly backend: () => Promise<Backend>; readonly speaker: Speaker },
): Promise<void> {
  const lines = speaker.io.lines?.('> ');
  if (lines === undefined)
    throw new LowrankError({
      code: 'cli.noInput',
      what: 'lowrank chat',
      expected: 'an input to read from',
      got: 'none',
    });
  const { adapter = [], ...options } = flags;
  const otherwise = { temperature: 0.7, topP: 0.95 };
  const chat = await openChat({ ...options, otherwise, backend, adapters: namedAdapters(adapter) });
  const talk = { chat, speaker };
  let turns = 0;
  try {
    speaker.say(
      `${chat.adapter === undefined ? '' : `adapter ${chat.adapter}; `}/help lists the commands, /exit ends.`,
    );
    for await (const line of lines) {
      const text = line.trim();
      if (text === '') continue;
      if (text === '/exit' || text === '/quit') break;
      await complaining(speaker, async () => {
        if (text.startsWith('/') && !text.startsWith('//')) return command(text, talk);
        await answer(text.replace(/^\/\//, '/'), talk);
        turns++;
      });
    }
    if (speaker.json) speaker.result({ turns, adapter: chat.adapter ?? null, messages: chat.messages }, '');
  } finally {
    await chat.dispose();
  }
}

async function answer(text: string, { chat, speaker }: Talk): Promise<void> {
  const controller = new AbortController();
  const release = speaker.io.onInterrupt(() => controller.abort());
  try {
    const { adapter } = chat;
    const {
      text: said,
      endedBy,
      forgotten,
    } = await chat.say(text, {
      signal: controller.signal,
      onText: (piece) => {
        if (!speaker.json) speaker.io.stdout(piece);
      },
    });
    if (speaker.json) speaker.line({ role: 'assistant', content: said, adapter: adapter ?? null, ended_by: endedBy });
    else speaker.io.stdout('\n');
    if (forgotten > 0)
      speaker.say(
        `(the oldest ${forgotten === 1 ? 'turn was' : `${forgotten} turns were`} forgotten: the model's ` +
          'context is full)',
      );
    if (endedBy === 'length') speaker.say('(cut off: --max-new-tokens allows more)');
    if (endedBy === 'signal') speaker.say('(interrupted)');
  } finally {
    release();
  }
}

function command(line: string, { chat, speaker }: Talk): void {
  const [, name = '', rest = ''] = /^\/(\S*)\s*([\s\S]*)$/.exec(line) ?? [];
  switch (name) {
    case 'adapter':
      if (rest !== '') chat.use(rest === 'none' && !chat.adapters.includes('none') ? undefined : rest);
      return speaker.say(
        `adapter ${chat.adapter ?? 'none'}${rest === '' ? ` (of ${[...chat.adapters, 'none'].join(', ')})` : ''}`,
      );
    case 'reset':
      chat.reset();
      return speaker.say('forgotten');
    case 'system':
      chat.system(rest === '' ? undefined : rest);
      return speaker.say(rest === '' ? 'no system message' : 'started over with this system message');
    case 'help':
      return speaker.say(help);
    default:
      throw new LowrankError({
        code: 'cli.chatCommand',
        what: `/${name}`,
        expected: '/adapter, /reset, /system, /help or /exit',
        got: 'an unknown command',
        remedy: 'A message that begins with a slash is written with two.',
      });
  }
}

/** Reports errors that the user can correct, and the chat goes on. */
async function complaining(speaker: Speaker, act: () => void | Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!isLowrankError(error)) throw error;
    speaker.say(`lowrank: ${error.message}`);
    speaker.line({ error: { code: error.code, message: error.message } });
  }
}

/** `name=place`, or a place whose last part is the name. */
function namedAdapters(given: readonly string[]): Record<string, string> {
  const named: Record<string, string> = {};
  for (const text of given) {
    const [, name, place = text] = /^([\w.-]+)=(.+)$/.exec(text) ?? [];
    const own =
      name ??
      (
        place
          .replace(/[/\\]+$/, '')
          .split(/[/\\]/)
          .at(-1) ?? place
      ).replace(/@.*$/, '');
    if (named[own] !== undefined)
      throw new LowrankError({
        code: 'cli.conflict',
        what: `two adapters called ${own}`,
        expected: 'a name for each',
        got: given.join(', '),
        remedy: 'Give them names: --adapter name=FOLDER.',
      });
    named[own] = place;
  }
  return named;
}
