import type { Command } from 'commander';
import { virtualInits } from '../jobs/trainMethod.js';
import { choiceFlag, numberFlag } from './numbers.js';

/** The flags of `train` for the methods that are no LoRA. */
export function addMethodFlags(command: Command): Command {
  return command
    .option(
      '--virtual-tokens <n>',
      'virtual tokens of --method prompt and prefix (default: 20)',
      numberFlag('--virtual-tokens', { whole: true, min: 1 }),
    )
    .option(
      '--virtual-init <name>',
      `${virtualInits.join(', ')}: how they begin; vocab is for prompt, zero for prefix (default: random)`,
      choiceFlag('--virtual-init', virtualInits),
    )
    .option('--prompt-init-text <text>', 'what --method prompt begins as: the embeddings of this text')
    .option(
      '--bottleneck <n>',
      'width of the adapters of --method adapter (default: 64)',
      numberFlag('--bottleneck', { whole: true, min: 1 }),
    );
}
