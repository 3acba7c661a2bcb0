// `pnpm types`: the compiler over the whole tree. Everywhere `list[i]` may be undefined (noUncheckedIndexedAccess), but
// in numeric folders, whose loops over arrays would drown in `?? NaN`. A folder is numeric by a tsconfig.json of its
// own that extends tsconfig.numeric.json: editors and the linter go by it too.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { cache, root } from './lib/paths.mjs';

/**
 * @param {string} workspace a folder that holds packages/
 * @returns {string[]} the numeric folders of all packages
 */
export function numericFolders(workspace) {
  return readdirSync(join(workspace, 'packages')).flatMap((name) => {
    const source = join(workspace, 'packages', name, 'src');
    if (!existsSync(source)) return [];
    return readdirSync(source, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('tsconfig.json'))
      .map((path) => join(source, path))
      .filter((path) => JSON.parse(readFileSync(path, 'utf8')).extends?.endsWith('tsconfig.numeric.json'))
      .map(dirname);
  });
}

/**
 * Two programs over the same files, one with checked and one with unchecked index access; each file is judged by the
 * one that it belongs to. Both share the parsed files, and remember in `cacheFolder` which files they have found sound.
 *
 * @param {string} workspace a folder with a tsconfig.json
 * @param {{ diagnose?: boolean, cacheFolder?: string }} [options] `diagnose: false` makes the programs alone
 * @returns {{
 *   diagnostics: readonly ts.Diagnostic[],
 *   checked: ts.Program,
 *   unchecked: ts.Program,
 *   isNumeric: (file: ts.SourceFile) => boolean,
 * }}
 */
export function checkTypes(workspace, { diagnose = true, cacheFolder } = {}) {
  const path = join(workspace, 'tsconfig.json');
  const { config, error } = ts.readConfigFile(path, (name) => ts.sys.readFile(name));
  if (error) throw new Error(ts.flattenDiagnosticMessageText(error.messageText, '\n'));
  const { fileNames, options, errors } = ts.parseJsonConfigFileContent(config, ts.sys, workspace, undefined, path);
  const folders = numericFolders(workspace).map((folder) => `${folder.split(sep).join('/')}/`);
  const isNumeric = ({ fileName }) => folders.some((folder) => fileName.startsWith(folder));

  const host = sharingHost(options);
  /** @param {string} name @param {ts.CompilerOptions} changed */
  const programOf = (name, changed) => {
    const memory = cacheFolder && { incremental: true, tsBuildInfoFile: join(cacheFolder, `${name}.tsbuildinfo`) };
    return ts.createIncrementalProgram({ rootNames: fileNames, options: { ...options, ...changed, ...memory }, host });
  };
  const checked = programOf('checked', {});
  const unchecked = programOf('unchecked', { noUncheckedIndexedAccess: false });
  const diagnostics = [...errors, ...checked.getOptionsDiagnostics(), ...checked.getGlobalDiagnostics()];
  const isOwn = (/** @type {ts.SourceFile} */ file) => !file.fileName.includes('/node_modules/');
  if (diagnose) {
    judgeChanges(checked, (file) => isOwn(file) && !isNumeric(file));
    judgeChanges(unchecked, (file) => isOwn(file) && isNumeric(file));
  }
  for (const file of diagnose ? checked.getSourceFiles().filter(isOwn) : []) {
    const program = isNumeric(file) ? unchecked : checked;
    diagnostics.push(...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file));
  }
  // With noEmit this writes what the next run need not look at again.
  if (cacheFolder) for (const program of [checked, unchecked]) program.emit();
  return {
    diagnostics: ts.sortAndDeduplicateDiagnostics(diagnostics),
    checked: checked.getProgram(),
    unchecked: unchecked.getProgram(),
    isNumeric,
  };
}

/**
 * Checks what has changed since the last run, or depends on it. Answers for other files come from memory afterwards.
 *
 * @param {ts.EmitAndSemanticDiagnosticsBuilderProgram} program
 * @param {(file: ts.SourceFile) => boolean} isJudged
 */
function judgeChanges(program, isJudged) {
  while (program.getSemanticDiagnosticsOfNextAffectedFile(undefined, (file) => !isJudged(file)) !== undefined);
}

/** A host that parses each file once for all programs. @param {ts.CompilerOptions} options */
function sharingHost(options) {
  const host = ts.createIncrementalCompilerHost(options);
  const parsed = new Map();
  const parse = host.getSourceFile.bind(host);
  host.getSourceFile = (name, ...rest) => {
    if (!parsed.has(name)) parsed.set(name, parse(name, ...rest));
    return parsed.get(name);
  };
  return host;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { diagnostics } = checkTypes(root, { cacheFolder: join(cache, 'types') });
  const host = {
    getCurrentDirectory: () => root,
    getCanonicalFileName: (/** @type {string} */ name) => name,
    getNewLine: () => '\n',
  };
  const format = process.stdout.isTTY ? ts.formatDiagnosticsWithColorAndContext : ts.formatDiagnostics;
  if (diagnostics.length > 0) console.log(format(diagnostics, host));
  process.exitCode = diagnostics.length === 0 ? 0 : 1;
}
