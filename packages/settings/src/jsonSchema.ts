import type { SchemaShape } from './schema.js';
import type { Setting, SettingTable } from './setting.js';
import { SameAs } from './setting.js';

/** A JSON Schema, as far as settings need one (draft 2020-12). */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * The JSON Schema of a file that sets options of these tables: for editors, and for configuration files. Settings
 * without a flag are left out; so are those whose value JSON does not have.
 */
export function jsonSchema(tables: readonly SettingTable[], title: string): JsonSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title,
    ...objectSchema(tables),
  };
}

function objectSchema(tables: readonly SettingTable[]): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  for (const { settings } of tables)
    for (const [name, setting] of Object.entries(settings)) {
      const schema = settingSchema(setting);
      if (schema !== undefined) properties[name] = merged(properties[name], schema);
    }
  return { type: 'object', properties, additionalProperties: false };
}

/** One name may be a setting of several methods, which take different values. */
function merged(before: JsonSchema | undefined, schema: JsonSchema): JsonSchema {
  return before === undefined || JSON.stringify(before) === JSON.stringify(schema)
    ? schema
    : { anyOf: [before, schema] };
}

function settingSchema(setting: Setting): JsonSchema | undefined {
  const { fields, flag, help, text, schema } = setting;
  if (fields !== undefined) return { ...objectSchema([fields]), description: help };
  if (flag === false) return undefined;
  const shape = shapeSchema(schema.shape) ?? (text === undefined ? undefined : { type: 'string' });
  return shape === undefined ? undefined : { ...shape, description: help, ...defaultOf(setting) };
}

function defaultOf({ default: value }: Setting): JsonSchema {
  return value === undefined || value instanceof SameAs ? {} : { default: value };
}

function shapeSchema(shape: SchemaShape): JsonSchema | undefined {
  switch (shape.kind) {
    case 'number':
      return numberSchema(shape);
    case 'boolean':
    case 'string':
      return { type: shape.kind };
    case 'choice':
      return { enum: shape.names };
    case 'list':
      return { type: 'array', items: shapeSchema(shape.item) ?? {} };
    case 'byName':
      return { type: 'object', additionalProperties: shapeSchema(shape.value) ?? {} };
    case 'either':
      return { anyOf: shape.of.map((each) => shapeSchema(each) ?? {}) };
    case 'custom':
      return undefined;
  }
}

function numberSchema({ whole, min, max, above, below }: Extract<SchemaShape, { kind: 'number' }>): JsonSchema {
  return {
    type: whole ? 'integer' : 'number',
    ...(min === undefined ? {} : { minimum: min }),
    ...(max === undefined ? {} : { maximum: max }),
    ...(above === undefined ? {} : { exclusiveMinimum: above }),
    ...(below === undefined ? {} : { exclusiveMaximum: below }),
  };
}
