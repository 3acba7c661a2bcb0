import { LowrankError, parseJson, shown } from '@lowrank/errors';
import type { ChatMessage, ChatOptions } from './chatTemplate.js';
import { parseJsonWithFloats } from './jsonFloats.js';
import { messagesOf } from './messages.js';

/** A row to learn a completion from: the loss is on the completion and EOS. */
export interface PromptRow {
  readonly line: number;
  readonly prompt: string;
  readonly completion: string;
}

/** A row to learn whole. */
export interface PlainRow {
  readonly line: number;
  readonly text: string;
}

/** A chat, of which what assistants say is to be learned, or a prompt and a completion that are lists of messages. */
export interface ChatRow {
  readonly line: number;
  readonly messages: readonly ChatMessage[];
  /** How many of the messages, from the first, are the prompt, where the row says so: what follows is learned. */
  readonly promptMessages?: number;
  readonly tools?: ChatOptions['tools'];
  /** The row's `chat_template_kwargs`: variables for the template, such as `enable_thinking`. */
  readonly variables?: ChatOptions['variables'];
}

/** One line of a data file; `line` counts from 1. */
export type TextRow = PromptRow | PlainRow | ChatRow;

interface Problem {
  readonly line: number;
  readonly code: string;
  readonly expected: string;
  readonly got: string;
}

const forms = 'an object with "prompt" and "completion", with "text", or with "messages"';

/**
 * Rows of a JSONL text: `{"prompt", "completion"}`, `{"text"}` or `{"messages"}` (with `"tools"`), one object per line.
 * Prompt and completion may both be lists of messages. Blank lines are skipped, other keys ignored. All bad lines are found before the error is thrown; it takes the code of
 * the first.
 *
 * @param options.name what errors call the data: the file's path
 * @throws LowrankError `data.json`, `data.rowForm` (no object, a key missing, both forms at once), `data.rowType` (a
 * value that is no string), `data.empty` (no row at all)
 */
export async function parseJsonl(
  input: string | AsyncIterable<string> | Iterable<string>,
  options: { readonly name?: string } = {},
): Promise<TextRow[]> {
  const found: (TextRow | Problem)[] = [];
  let line = 0;
  for await (const text of linesOf(input)) {
    line++;
    if (line === 1 && isArrayStart(text)) throw jsonArray(options.name ?? 'data');
    if (text.trim() !== '') found.push(parseRow(text, line));
  }
  return sortedRows(found, { name: options.name ?? 'data', lines: line });
}

/**
 * The same of rows that are objects already; a row's line is its place, from 1.
 *
 * @throws LowrankError `data.rowForm`, `data.rowType`, `data.empty`
 */
export function rowsOf(values: readonly unknown[], options: { readonly name?: string } = {}): TextRow[] {
  const found = values.map((value, at) => rowOf(value, at + 1));
  return sortedRows(found, { name: options.name ?? 'data', lines: values.length });
}

/** The rows, where all of them are. */
function sortedRows(
  found: readonly (TextRow | Problem)[],
  { name, lines }: { readonly name: string; readonly lines: number },
): TextRow[] {
  const problems = found.filter((row): row is Problem => 'code' in row);
  if (problems.length > 0) throw badRows(name, problems);
  const rows = found.filter((row): row is TextRow => !('code' in row));
  if (rows.length > 0) return rows;
  throw new LowrankError({
    code: 'data.empty',
    what: name,
    expected: `at least one line with ${forms}`,
    got: lines <= 1 ? 'nothing' : `${lines} blank lines`,
    remedy: 'Check the path; a data file has one JSON object per line.',
  });
}

/** Lines, without looking twice at what was read: a line may come in many pieces. */
async function* linesOf(
  input: string | AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<string, void, undefined> {
  let pieces: string[] = [];
  let first = true;
  for await (const chunk of typeof input === 'string' ? [input] : input) {
    let from = first && chunk.startsWith('\ufeff') ? 1 : 0;
    first &&= chunk === '';
    for (let to = chunk.indexOf('\n', from); to >= 0; to = chunk.indexOf('\n', from)) {
      pieces.push(chunk.slice(from, to));
      yield pieces.length === 1 ? (pieces[0] ?? '') : pieces.join('');
      pieces = [];
      from = to + 1;
    }
    if (from < chunk.length) pieces.push(chunk.slice(from));
  }
  if (pieces.length > 0) yield pieces.join('');
}

/** A first line that opens a list and is no JSON of its own: a file of one JSON array, as many data sets are. */
function isArrayStart(line: string): boolean {
  const text = line.trim();
  if (!text.startsWith('[')) return false;
  return !isJson(text) || /^\[\s*\{/.test(text);
}

function isJson(text: string): boolean {
  try {
    parseJson(text);
    return true;
  } catch {
    return false;
  }
}

function jsonArray(name: string): LowrankError {
  return new LowrankError({
    code: 'data.jsonArray',
    what: name,
    expected: 'JSON lines: one object on each line',
    got: 'one JSON array',
    remedy: "Write an object on each line, without the brackets and commas around them: jq -c '.[]' FILE > FILE.jsonl.",
  });
}

function parseRow(text: string, line: number): TextRow | Problem {
  let value: unknown;
  try {
    value = parseJsonWithFloats(text);
  } catch (cause) {
    return {
      line,
      code: 'data.json',
      expected: 'JSON',
      got: `${brief(text)} (${cause instanceof Error ? cause.message : 'none'})`,
    };
  }
  return rowOf(value, line);
}

function rowOf(value: unknown, line: number): TextRow | Problem {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { line, code: 'data.rowForm', expected: forms, got: shown(value, 60) };
  const row = value as Readonly<Record<string, unknown>>;
  // What writes rows of several forms to one file fills the columns of the others with null.
  const keys = ['prompt', 'completion', 'text', 'messages'].filter(
    (key) => row[key] !== undefined && row[key] !== null,
  );
  const form = keys.join();
  if (form === 'messages' || (form === 'prompt,completion' && keys.some((key) => Array.isArray(row[key]))))
    return chatRow(row, keys, line);
  if (form !== 'prompt,completion' && form !== 'text') {
    const nulls = ['prompt', 'completion', 'text', 'messages'].filter((key) => row[key] === null);
    const got =
      keys.length === 0 && nulls.length > 0
        ? `null as ${list(nulls)}`
        : keys.length > 0
          ? `only ${list(keys)}`
          : Object.keys(row).length > 0
            ? list(Object.keys(row))
            : 'no keys';
    return { line, code: 'data.rowForm', expected: forms, got: keys.length > 1 ? `${list(keys)} together` : got };
  }
  const wrong = keys.find((key) => typeof row[key] !== 'string');
  if (wrong !== undefined)
    return { line, code: 'data.rowType', expected: `a string as "${wrong}"`, got: shown(row[wrong], 60) };
  if (form === 'text') return { line, text: String(row['text']) };
  return { line, prompt: String(row['prompt']), completion: String(row['completion']) };
}

/** A row whose `keys` are lists of messages: the chat, or prompt and completion. */
function chatRow(row: Readonly<Record<string, unknown>>, keys: readonly string[], line: number): ChatRow | Problem {
  const parts = keys.map((key) => messagesOf(row[key]));
  const wrong = keys[parts.indexOf(undefined)];
  if (wrong !== undefined)
    return {
      line,
      code: 'data.rowType',
      expected: `a list of objects with a "role" as "${wrong}"`,
      got: shown(row[wrong], 60),
    };
  const tools = parsedTools(row['tools']);
  if (tools !== undefined && !Array.isArray(tools))
    return {
      line,
      code: 'data.rowType',
      expected: 'a list of JSON schemas as "tools"',
      got: shown(tools, 60),
    };
  const variables = row['chat_template_kwargs'] ?? undefined;
  if (variables !== undefined && (typeof variables !== 'object' || Array.isArray(variables)))
    return {
      line,
      code: 'data.rowType',
      expected: 'an object as "chat_template_kwargs"',
      got: shown(variables, 60),
    };
  return {
    line,
    messages: parts.flatMap((part) => part ?? []),
    ...(keys.length > 1 && { promptMessages: parts[0]?.length ?? 0 }),
    ...(tools === undefined ? {} : { tools: tools as ChatRow['tools'] }),
    ...(variables === undefined ? {} : { variables: variables as ChatRow['variables'] }),
  };
}

/** Tools may be JSON within a string, for data sets whose columns have one type. */
function parsedTools(tools: unknown): unknown {
  if (tools === null) return undefined;
  if (typeof tools !== 'string') return tools;
  try {
    return parseJsonWithFloats(tools) ?? undefined;
  } catch {
    return tools;
  }
}

function badRows(name: string, problems: readonly Problem[]): LowrankError {
  const [first, ...others] = problems;
  const lines = others.slice(0, 20).map(({ line }) => line);
  const more = others.length > lines.length ? ` and ${others.length - lines.length} more` : '';
  const also = others.length > 0 ? ` ${problems.length} lines are bad; the others: ${lines.join(', ')}${more}.` : '';
  return new LowrankError({
    code: first?.code ?? 'data.rowForm',
    what: `${name}, line ${first?.line ?? 0}`,
    expected: first?.expected,
    got: first?.got,
    remedy: `Each line is ${forms}, in strings or, but for the text, lists of messages.${also}`,
  });
}

function list(keys: readonly string[]): string {
  return keys
    .slice(0, 6)
    .map((key) => brief(JSON.stringify(key)))
    .join(', ');
}

function brief(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
