// Generated from the files of this folder by scripts/generate.mjs.
import type { ModelFamily } from '../family.js';

/** By `model_type`: a page loads the family of its model. */
export const familyLoaders: Readonly<Record<string, () => Promise<ModelFamily>>> = {
  bert: async () => (await import('./bert.js')).bert,
  dinov2: async () => (await import('./dinov2.js')).dinov2,
  distilbert: async () => (await import('./distilbert.js')).distilbert,
  gemma: async () => (await import('./gemma.js')).gemma,
  gemma2: async () => (await import('./gemma2.js')).gemma2,
  gemma3_text: async () => (await import('./gemma3.js')).gemma3,
  gemma3: async () => (await import('./gemma3.js')).gemma3,
  gpt2: async () => (await import('./gpt2.js')).gpt2,
  gpt_neox: async () => (await import('./gptNeox.js')).gptNeox,
  granite: async () => (await import('./granite.js')).granite,
  llama: async () => (await import('./llama.js')).llama,
  mistral: async () => (await import('./mistral.js')).mistral,
  modernbert: async () => (await import('./modernbert.js')).modernbert,
  olmo2: async () => (await import('./olmo2.js')).olmo2,
  olmo3: async () => (await import('./olmo3.js')).olmo3,
  phi3: async () => (await import('./phi3.js')).phi3,
  qwen2: async () => (await import('./qwen2.js')).qwen2,
  qwen3: async () => (await import('./qwen3.js')).qwen3,
  roberta: async () => (await import('./roberta.js')).roberta,
  'xlm-roberta': async () => (await import('./roberta.js')).roberta,
  camembert: async () => (await import('./roberta.js')).roberta,
  siglip: async () => (await import('./siglip.js')).siglip,
  siglip_vision_model: async () => (await import('./siglip.js')).siglip,
  smollm3: async () => (await import('./smollm3.js')).smollm3,
  vit: async () => (await import('./vit.js')).vit,
};
