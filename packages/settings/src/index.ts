export { configWarnings, readConfig, saysSomething, writeConfig } from './configFile.js';
export { anyOf, checkExclusions, checkRequirements, checkRules, givenOf, isGiven } from './conflicts.js';
export { describeSchema } from './describeSchema.js';
export { jsonSchema } from './jsonSchema.js';
export type { JsonSchema } from './jsonSchema.js';
export { eachKey, followed, ignored, refused, unlistedKey, unlistedKeys } from './keyUse.js';
export type { KeyTable, KeyUse } from './keyUse.js';
export { nearestName } from './nearest.js';
export { checkValue, defaultsOf, parseOptions } from './parseOptions.js';
export { accepts, parseValues, refuseUnknown } from './parseValues.js';
export { accepted, byName, choice, either, list, number, text, toggle, wholeNumber } from './schema.js';
export type { NumberBounds, Schema, SchemaShape } from './schema.js';
export { defineSettings, optional, required, SameAs, sameAs, setting, settled, withFaces } from './setting.js';
export type {
  Exclusion,
  FileForm,
  GivenOptions,
  MergedOptions,
  OnResume,
  OptionsOf,
  ParsedOptions,
  Requirement,
  Setting,
  SettingFaces,
  SettingTable,
  SettingValue,
  Settings,
  TextForm,
  ValueTable,
} from './setting.js';
