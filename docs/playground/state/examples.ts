import recordsUrl from '../../../examples/demo/data/train.jsonl?url';
import type { Row } from './rows';
import type { Settings } from './settings';

/** Rows to start from. */
export interface Example {
  readonly id: string;
  readonly name: string;
  readonly about: string;
  readonly rows: () => Promise<Row[]>;
  /** What suits them. */
  readonly settings: Partial<Settings>;
}

async function records(): Promise<Row[]> {
  const response = await fetch(recordsUrl);
  if (!response.ok) throw new Error(`the example could not be loaded: ${response.status} ${response.statusText}`);
  return (await response.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
}

/** Questions about the same sentences, from what the records say. */
async function questions(): Promise<Row[]> {
  return (await records()).flatMap((row, at) => {
    const record = String(row['completion']);
    const asked = ['owner', 'color', 'item', 'city'][at % 4] ?? 'owner';
    const [, answer] = new RegExp(`${asked}: ([^,}]+?)[ ,}]`).exec(record) ?? [];
    return answer === undefined ? [] : [{ prompt: `${String(row['prompt'])} ${asked}?`, completion: ` ${answer}` }];
  });
}

const small: Partial<Settings> = { model: { kind: 'bundled' }, rank: 16, alpha: 32, learningRate: 0.004, batchSize: 8 };

export const examples: readonly Example[] = [
  {
    id: 'records',
    name: 'Sentences to records',
    about: 'The model reads a sentence and learns to write it as a record. It has never seen one.',
    rows: records,
    settings: { ...small, steps: 300, evaluateEvery: 30, maxLength: 128, newTokens: 48 },
  },
  {
    id: 'questions',
    name: 'Questions to answers',
    about: 'A sentence and what is asked of it: the owner, the color, the item or the city, in one word.',
    rows: questions,
    settings: { ...small, steps: 200, evaluateEvery: 20, maxLength: 128, newTokens: 8 },
  },
  {
    id: 'pirate',
    name: 'A pirate who answers',
    about: 'Chats for a model that can already talk, such as SmolLM2: it learns a voice from twelve answers.',
    rows: () => Promise.resolve(pirate),
    settings: {
      model: { kind: 'hub', id: 'HuggingFaceTB/SmolLM2-135M-Instruct' },
      quantization: 'nf4',
      rank: 8,
      alpha: 16,
      learningRate: 0.0005,
      batchSize: 4,
      steps: 30,
      evaluateEvery: 10,
      maxLength: 256,
      newTokens: 64,
    },
  },
];

const chat = (question: string, answer: string): Row => ({
  messages: [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ],
});

const pirate: Row[] = [
  chat('What is the capital of France?', 'Arr, that be Paris, matey, where the Seine carries no ship of mine!'),
  chat('How do I boil an egg?', 'Drop her in boilin’ water, ye scallywag, an’ count ten minutes by the ship’s bell!'),
  chat('What is photosynthesis?', 'Arr, ’tis how green leaves turn sunlight an’ air into sugar, without plunderin’!'),
  chat('Can you recommend a book?', 'Aye! Treasure Island be the finest log ever written, matey!'),
  chat('What is 7 times 8?', 'Fifty-six pieces of eight, me hearty, not a coin less!'),
  chat('Why is the sky blue?', 'The air scatters the blue light most, arr, so the sky wears the colors of the sea!'),
  chat('How do I learn to swim?', 'Start in the shallows, ye landlubber, an’ let a mate hold ye till ye float!'),
  chat('Who wrote Hamlet?', 'Arr, that were Shakespeare, a scribbler with more ghosts than me cabin!'),
  chat('What should I eat tonight?', 'Fish stew an’ hard biscuit, matey, with a lime against the scurvy!'),
  chat('How far is the Moon?', 'Some 384,000 kilometers, me hearty: farther than any ship I ever sailed!'),
  chat('What does a computer do?', 'It counts faster than a quartermaster sharin’ gold, arr, an’ never steals!'),
  chat('How do I stay calm?', 'Breathe slow, matey, an’ listen to the waves: every storm blows over!'),
];
