import type { ChatMessage, ChatTemplate, TextFiles, TextTokenizer } from '@lowrank/data';
import { renderChat } from '@lowrank/data';
import type { CausalModel } from '@lowrank/models';
import { readGenerationConfig } from './generationConfig.js';

/** What ends a text that a model writes. */
export interface TextEndings {
  readonly stopIds: readonly number[];
  readonly stopStrings: readonly string[];
}

/**
 * The tokens that end any text: EOS by all its names, in the tokenizer, in config.json and in generation_config.json.
 */
export async function endIds(
  { eosId }: TextTokenizer,
  { shape }: CausalModel,
  files: TextFiles,
): Promise<readonly number[]> {
  const { stopIds } = await readGenerationConfig(files);
  return [...new Set([...(eosId === undefined ? [] : [eosId]), ...shape.eosIds, ...stopIds])];
}

/** What ends an answer of a chat: those tokens, and what the template writes after an assistant's turn. */
export function answerEnds(ids: readonly number[], template: ChatTemplate, tokenizer: TextTokenizer): TextEndings {
  const written = afterAnswer(template);
  const [first] = tokenizer.encode(written, { addSpecialTokens: false });
  // A control token is never part of an answer's text; any other text is searched for in it.
  const isControl =
    first !== undefined &&
    tokenizer.decode([first]) === '' &&
    tokenizer.decode([first], { skipSpecialTokens: false }) !== '';
  if (isControl) return { stopIds: [...new Set([...ids, first])], stopStrings: [] };
  return { stopIds: ids, stopStrings: written.trim() === '' ? [] : [written.trimEnd()] };
}

/** What stands between an assistant's words and the next user's, or after them. */
function afterAnswer(template: ChatTemplate): string {
  const [question, answer, next] = ['question', '1a9f3c', '7e2b8d'];
  const chat = [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ];
  const after = (messages: readonly ChatMessage[]): string => {
    const text = renderChat(messages, { template });
    return text.slice(text.lastIndexOf(answer) + answer.length);
  };
  const own = after(chat);
  if (own.trim() !== '') return own;
  return after([...chat, { role: 'user', content: next }]).split(next)[0] ?? '';
}
