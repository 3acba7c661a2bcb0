/**
 * The prompt that Alpaca's rows stand for (Taori et al. 2023), as in the `text` of tatsu-lab/alpaca, axolotl, torchtune
 * and LLaMA-Factory: the completion comes after `### Response:` and a line break.
 */
export function alpacaPrompt(instruction: string, input: string): string {
  const task = 'Below is an instruction that describes a task';
  const answer = 'Write a response that appropriately completes the request.';
  return input === ''
    ? `${task}. ${answer}\n\n### Instruction:\n${instruction}\n\n### Response:\n`
    : `${task}, paired with an input that provides further context. ${answer}\n\n` +
        `### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:\n`;
}
