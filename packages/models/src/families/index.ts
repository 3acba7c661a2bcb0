// Generated from the files of this folder by scripts/generate.mjs.
import type { ModelFamily } from '../family.js';
import { bert } from './bert.js';
import { dinov2 } from './dinov2.js';
import { distilbert } from './distilbert.js';
import { gemma } from './gemma.js';
import { gemma2 } from './gemma2.js';
import { gemma3 } from './gemma3.js';
import { gpt2 } from './gpt2.js';
import { gptNeox } from './gptNeox.js';
import { granite } from './granite.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { modernbert } from './modernbert.js';
import { olmo2 } from './olmo2.js';
import { olmo3 } from './olmo3.js';
import { phi3 } from './phi3.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';
import { roberta } from './roberta.js';
import { siglip } from './siglip.js';
import { smollm3 } from './smollm3.js';
import { vit } from './vit.js';

export const families: readonly ModelFamily[] = [
  bert,
  dinov2,
  distilbert,
  gemma,
  gemma2,
  gemma3,
  gpt2,
  gptNeox,
  granite,
  llama,
  mistral,
  modernbert,
  olmo2,
  olmo3,
  phi3,
  qwen2,
  qwen3,
  roberta,
  siglip,
  smollm3,
  vit,
];
