import { LowrankError } from '@lowrank/errors';

/**
 * The text that every byte-level vocabulary encodes; the hash of its ids identifies how it splits text. The text is
 * llama.cpp's (convert_hf_to_gguf_update.py).
 */
const probe =
  '\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n\ud83d\ude80 (normal) ' +
  '\ud83d\ude36\u200d\ud83c\udf2b\ufe0f (multiple emojis concatenated) \u2705 \ud83e\udd99\ud83e\udd99 3 33 ' +
  '333 3333 33333 333333 3333333 33333333 3.3 3..3 3...3 ' +
  '\u1780\u17b6\u1793\u17cb\u178f\u17c2\u1796\u17b7\u179f\u17c1\u179f\u17a2\u17b6\u1785\ud83d\ude01 ' +
  '?\u6211\u60f3\u5728apple\u5de5\u4f5c1314151\u5929\uff5e ------======= \u043d\u0435\u0449\u043e ' +
  '\u043d\u0430 \u0411\u044a\u043b\u0433\u0430\u0440\u0441\u043a\u0438 ' +
  "''''''```````\"\"\"\"......!!!!!!?????? I've been 'told he's there, 'RE you sure? 'M not sure I'll make " +
  "it, 'D you like some tea? We'Ve a'lL";

/**
 * SHA-256 of the ids, as Python prints a list of them, and what llama.cpp calls that way of splitting: those of
 * vocabularies that Llamas come with.
 */
const known: Readonly<Record<string, string>> = {
  '1431a23e583c97432bc230bff598d103ddb5a1f89960c8f1d1051aaa944d0b35': 'minerva-7b',
  d4540891389ea895b53b399da6ac824becc30f2fba0e9ddbb98f92e55ca0e97c: 'qwen2',
  '0fe1cf6eda062318a1af7270f3331a85c539a01778ff948e24388e949c5282f4': 'gpt-2',
  '0ef9807a4087ebef797fc749390439009c3b9eda9ad1a097abbe738f486c01e5': 'llama-bpe',
  '049ecf7629871e3041641907f3de7c733e4dbfdc736f57d882ba0b0845599754': 'deepseek-llm',
  '347715f544604f9118bb75ed199f68779f423cabb20db6de6f31b908d04d7821': 'deepseek-coder',
  '8aeee3860c56296a157a1fe2fad249ec40aa59b1bb5709f4ade11c4e6fe652ed': 'falcon',
  '9d032fcbd5501f4a38150912590928bfb36091efb5df11b8e2124b0390e3fb1e': 'falcon3',
  b6dc8df998e1cfbdc4eac8243701a65afe638679230920b50d6f17d81c098166: 'olmo',
  '35d91631860c815f952d711435f48d356ebac988362536bed955d43bfa436e34': 'starcoder',
  '3ce83efda5659b07b1ad37ca97ca5797ea4285d9b9ab0dc679e4a720c9da7454': 'gpt-2',
  '32d85c31273f8019248f2559fed492d929ea28b17e51d81d3bb36fff23ca72b3': 'stablelm2',
  '6221ad2852e85ce96f791f476e0b390cf9b474c9e3d1362f53a24a06dc8220ff': 'refact',
  '9c2227e4dd922002fb81bde4fc02b0483ca4f12911410dee2255e4987644e3f8': 'command-r',
  e636dc30a262dcc0d8c323492e32ae2b70728f4df7dfe9737d9f920a282b8aea: 'qwen2',
  a8594e3edff7c29c003940395316294b2c623e09894deebbc65f33f1515df79e: 'dbrx',
  c136ed14d01c2745d4f60a9596ae66800e2b61fa45643e72436041855ad4089d: 'smaug-bpe',
  c7ea5862a53e4272c035c8238367063e2b270d51faa48c0f09e9d5b54746c360: 'poro-chat',
  '7fc505bd3104ca1083b150b17d088b59534ede9bde81f0dd2090967d7fe52cee': 'viking',
  b53802fb28e26d645c3a310b34bfe07da813026ec7c7716883404d5e0f8b1901: 'jais',
  '7b3e7548e4308f52a76e8229e4e6cc831195d0d1df43aed21ac6c93da05fec5f': 'codeshell',
  '63b97e4253352e6f357cc59ea5b583e3a680eaeaf2632188c2b952de2588485e': 'tekken',
  '855059429035d75a914d1eda9f10a876752e281a054a7a3d421ef0533e5b6249': 'smollm',
  '3c30d3ad1d6b64202cd222813e7736c2db6e1bd6d67197090fc1211fbc612ae7': 'bloom',
  bc01ce58980e1db43859146dc51b1758b3b88729b217a74792e9f8d43e479d21: 'gpt3-finnish',
  '4e2b24cc4770243d65a2c9ec19770a72f08cffc161adbb73fcbb6b7dd45a0aae': 'exaone',
  d4c8f286ea6b520b3d495c4455483cfa2302c0cfcd4be05d781b6a8a0a7cdaf1: 'megrez',
  '877081d19cf6996e2c4ff0e1236341e9b7bde288f5311a56a937f0afbbb3aeb5': 'deepseek-v3',
  b3f499bb4255f8ca19fccd664443283318f2fd2414d5e0b040fbdd0cc195d6c5: 'deepseek-r1-qwen',
  ccc2ef013c104be7bae2965776d611e1d7a8a2a9c547dd93a682c9a9fc80352e: 'gpt-4o',
  '7dec86086fcc38b66b7bc1575a160ae21cf705be7718b9d5598190d7c12db76f': 'superbpe',
  '1994ffd01900cfb37395608534236ecd63f2bd5995d6cb1004dda1af50240f15': 'trillion',
  d353350c764d8c3b39c763113960e4fb4919bea5fbf208a0e3b22e8469dc7406: 'llama4',
  '0e9433cbbb161f89e264eb32e8e64bfe69e834973ffca5d41d3948a604a3e2a3': 'pixtral',
  d5f1dd6f980fec569fb218a81a7658ac45fc56b38c5a0adeb1c232fbe04ef5ec: 'seed-coder',
  b0a6b1c0bd5998ebd9df08611efde34a4ff03faed45ae09c43e6b31ebd4b94cf: 'a.x-4.0',
  f6791d196f87ce6b56a7d234be618e0d58f8cda3549416635b2bebcd22cd95c4: 'midm-2.0',
  a1e163ecab2e718a4c829d1148b6e86824ec36163bb71941c3dca9cd5ac25756: 'mellum',
  '4a2e2abae11ca2b86d570fc5b44be4d5eb5e72cc8f22dd136a94b37da83ab665': 'kormo',
  '36f3066e97b7f3994b379aaacde306c1444c6ae84e81a5ae3cd2b7ed3b8c42d4': 'minicpm5',
};

/**
 * llama.cpp's name for a tokenizer's way of splitting text before its merges.
 *
 * @param encode the ids of a text, with the special tokens that the tokenizer adds
 * @throws LowrankError `gguf.preTokenizer`
 */
export async function preTokenizerOf(encode: (text: string) => readonly number[]): Promise<string> {
  const ids = new TextEncoder().encode(`[${encode(probe).join(', ')}]`);
  const hash = Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', ids)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
  const name = known[hash];
  if (name !== undefined) return name;
  throw new LowrankError({
    code: 'gguf.preTokenizer',
    what: "the tokenizer's way of splitting text",
    expected: 'one that llama.cpp and Lowrank know',
    got: `another (hash ${hash.slice(0, 16)}…)`,
    remedy: 'Give llama.cpp’s name for it if you know it: --pre-tokenizer llama-bpe, for example.',
  });
}
