// Loaded into the command line with --import: fails, or kills the process at, one operation on files below a folder.
// LOWRANK_FAULT is `{ under, mode, at, log }`: operation number `at` (from 1) is
//   count  nothing: every operation is a line of the file `log`
//   kill   the end of the process, before it; half of what is written stays
//   full   refused with ENOSPC, as is whatever needs room after it
//   error  refused with EIO, alone
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { resolve, sep } from 'node:path';

/** @typedef {{ under: string, mode: 'count' | 'kill' | 'full' | 'error', at: number, log: string }} Fault */

const require = createRequire(import.meta.url);
const fs = require('node:fs');
const promises = require('node:fs/promises');
const appendLog = fs.appendFileSync;
/** @type {Fault} */
const fault = JSON.parse(process.env.LOWRANK_FAULT ?? '{"under":"/nowhere","mode":"count","at":0,"log":""}');
const under = resolve(fault.under) + sep;
let operations = 0;

/** What a full disk does not refuse. */
const freesRoom = new Set(['rm', 'unlink', 'rmdir', 'rename', 'sync', 'utimes']);

/**
 * Counts an operation. Throws what it is to fail with; `half` is what is done before.
 *
 * @param {string} name
 * @param {string} path
 * @param {() => void} [half]
 */
function meet(name, path, half) {
  if (!`${resolve(path)}${sep}`.startsWith(under)) return;
  operations++;
  if (fault.mode === 'count') {
    appendLog(fault.log, `${name} ${resolve(path).slice(under.length)}\n`);
    return;
  }
  if (fault.mode === 'full' ? operations < fault.at || freesRoom.has(name) : operations !== fault.at) return;
  half?.();
  if (fault.mode === 'kill') process.kill(process.pid, 'SIGKILL');
  const code = fault.mode === 'full' ? 'ENOSPC' : 'EIO';
  const words = fault.mode === 'full' ? 'no space left on device' : 'i/o error';
  throw Object.assign(new Error(`${code}: ${words}, ${name} '${path}'`), { code, syscall: name, path });
}

for (const name of ['mkdir', 'rename', 'rm', 'unlink', 'rmdir', 'link', 'symlink', 'truncate', 'utimes', 'copyFile']) {
  for (const [module, call] of [
    [promises, name],
    [fs, `${name}Sync`],
  ]) {
    const original = module[call];
    module[call] = (/** @type {any[]} */ ...given) => {
      const act = () => {
        // What is made counts by its new place.
        meet(name, String(['link', 'symlink', 'copyFile'].includes(name) ? given[1] : given[0]));
        return original(...given);
      };
      return module === promises ? Promise.resolve().then(act) : act();
    };
  }
}

for (const name of ['writeFile', 'appendFile']) {
  const sync = fs[`${name}Sync`];
  const original = promises[name];
  const begin = (/** @type {any[]} */ [path, data, options]) => {
    if (typeof path !== 'string') return;
    const text = typeof data === 'string' ? Buffer.from(data) : data;
    meet(name, path, () => sync(path, text.subarray(0, text.length >> 1), options));
  };
  promises[name] = async (/** @type {any[]} */ ...given) => {
    begin(given);
    return original(...given);
  };
  fs[`${name}Sync`] = (/** @type {any[]} */ ...given) => {
    begin(given);
    return sync(...given);
  };
}

const { open } = promises;
promises.open = async (/** @type {any[]} */ ...given) => {
  const [path, flags = 'r'] = given;
  const writes = flags !== 'r';
  if (writes) meet('open', String(path));
  const file = await open(...given);
  watch(file, String(path));
  return file;
};

/** @param {any} file @param {string} path */
function watch(file, path) {
  for (const name of ['write', 'writeFile', 'appendFile']) {
    const original = file[name].bind(file);
    file[name] = async (/** @type {any[]} */ ...given) => {
      meet(name, path, () => {
        const bytes = typeof given[0] === 'string' ? Buffer.from(given[0]) : given[0];
        const [start, length] = typeof given[1] === 'number' ? [given[1], given[2]] : [0, bytes.byteLength];
        fs.writeSync(file.fd, bytes, start, length >> 1, typeof given[3] === 'number' ? given[3] : null);
      });
      return original(...given);
    };
  }
  for (const name of ['sync', 'datasync', 'truncate']) {
    const original = file[name].bind(file);
    file[name] = async (/** @type {any[]} */ ...given) => {
      meet(name === 'truncate' ? name : 'sync', path);
      return original(...given);
    };
  }
}

syncBuiltinESMExports();
