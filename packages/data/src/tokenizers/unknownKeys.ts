import type { KeyTable } from '@lowrank/settings';
import { unlistedKey } from '@lowrank/settings';
import { specialTokensMapKeys, tokenizerConfigKeys, tokenizerJsonKeys } from './keyTables.js';
import type { PartJson } from './partJson.js';
import { entryOf, isPart, unusablePart } from './partJson.js';

/** Warnings for keys of tokenizer.json that no table has. */
export function unknownTokenizerKeys(json: PartJson): string[] {
  const unknown = notIn(tokenizerJsonKeys[''] ?? {}, json, '');
  const visit = (section: string, value: unknown, place: string): void => {
    if (!isPart(value)) return;
    const table = entryOf(tokenizerJsonKeys, `${section}.${typeName(section, value)}`);
    if (table !== undefined) unknown.push(...notIn(table, value, `${place}.`, ['type']));
    for (const key of ['normalizers', 'pretokenizers', 'processors', 'decoders']) {
      const parts = value[key];
      if (Array.isArray(parts)) parts.forEach((each, at) => visit(section, each, `${place}.${at}`));
    }
  };
  for (const section of ['model', 'normalizer', 'pre_tokenizer', 'post_processor', 'decoder'])
    visit(section, json[section], section);
  const added = Array.isArray(json['added_tokens']) ? (json['added_tokens'] as unknown[]) : [];
  added.forEach((token, at) => {
    if (isPart(token)) unknown.push(...notIn(tokenizerJsonKeys['added_tokens'] ?? {}, token, `added_tokens.${at}.`));
  });
  return unknown.map((key) => unlistedKey(key, 'tokenizer.json'));
}

/** Warnings for keys of tokenizer_config.json that no table has. @throws LowrankError for what is refused */
export function unknownConfigKeys(config: PartJson): string[] {
  if (config['fix_mistral_regex'] === true)
    throw unusablePart(
      'fix_mistral_regex in tokenizer_config.json',
      'false: the splitter that transformers would write is not known here',
      true,
    );
  const warnings = notIn(tokenizerConfigKeys, config, '')
    .filter((key) => !key.endsWith('_token') && !key.startsWith('_'))
    .map((key) => unlistedKey(key, 'tokenizer_config.json'));
  if (config['auto_map'] !== undefined && config['auto_map'] !== null)
    warnings.push('tokenizer_config.json names code of its own (auto_map), which is not run: tokenizer.json is used.');
  return warnings;
}

/** Warnings for keys of special_tokens_map.json that no table has. */
export function unknownMapKeys(map: PartJson): string[] {
  return notIn(specialTokensMapKeys, map, '')
    .filter((key) => !key.endsWith('_token'))
    .map((key) => unlistedKey(key, 'special_tokens_map.json'));
}

function typeName(section: string, value: PartJson): string {
  if (typeof value['type'] === 'string') return value['type'];
  return section === 'model' ? (value['merges'] === undefined ? 'WordPiece' : 'BPE') : '';
}

function notIn(table: KeyTable, json: PartJson, prefix: string, others: readonly string[] = []): string[] {
  return Object.keys(json)
    .filter((key) => !Object.hasOwn(table, key) && !others.includes(key))
    .map((key) => prefix + key);
}
