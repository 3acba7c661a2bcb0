// One bundler over the page in the current folder, as its manual begins: `node bundle.mjs NAME OUTPUT`. Prints its
// warnings as a line of JSON. esbuild and Rollup follow no `new Worker`: they get the worker as an entry of its own.
import { copyFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [name = '', output = ''] = process.argv.slice(2);
// The bundlers are no dependencies of this checkout.
const require = createRequire(join(process.cwd(), 'package.json'));
/** @param {string} specifier */
const load = (specifier) => import(pathToFileURL(require.resolve(specifier)).href);
const page = () => copyFileSync('index.html', join(output, 'index.html'));

/** @type {Record<string, () => Promise<string[]>>} */
const bundlers = {
  async esbuild() {
    const esbuild = await load('esbuild');
    const { warnings } = await esbuild.build({
      entryPoints: ['page.js', { in: 'lowrank/worker/thread', out: 'trainerThread' }],
      outdir: output,
      bundle: true,
      splitting: true,
      format: 'esm',
      minify: true,
      logLevel: 'silent',
    });
    page();
    return warnings.map((/** @type {{ text: string }} */ { text }) => text);
  },
  async webpack() {
    const { default: webpack } = await load('webpack');
    const stats = await new Promise((done, fail) =>
      webpack(
        // What is too large is for the budgets to say.
        { mode: 'production', entry: './page.js', output: { path: output, filename: 'page.js' }, performance: false },
        (/** @type {unknown} */ error, /** @type {any} */ result) => (error ? fail(error) : done(result)),
      ),
    );
    page();
    const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
    return [...errors, ...warnings].map(({ message }) => message);
  },
  async rollup() {
    const { rollup } = await load('rollup');
    const { nodeResolve } = await load('@rollup/plugin-node-resolve');
    /** @type {string[]} */
    const warnings = [];
    const bundle = await rollup({
      input: { page: 'page.js', trainerThread: 'lowrank/worker/thread' },
      plugins: [nodeResolve({ browser: true })],
      onLog: (/** @type {string} */ level, /** @type {{ message: string }} */ { message }) =>
        void (level === 'warn' && warnings.push(message)),
    });
    await bundle.write({ dir: output, format: 'es' });
    await bundle.close();
    page();
    return warnings;
  },
  async vite() {
    const { build } = await load('vite');
    /** @type {string[]} */
    const warnings = [];
    const warn = (/** @type {string} */ text) => void warnings.push(text);
    const customLogger = {
      info: () => undefined,
      warn,
      warnOnce: warn,
      error: warn,
      clearScreen: () => undefined,
      hasErrorLogged: () => false,
      hasWarned: false,
    };
    await build({ root: '.', configFile: false, customLogger, build: { outDir: output, emptyOutDir: true } });
    return warnings;
  },
};

console.log(JSON.stringify(await (bundlers[name] ?? (() => Promise.reject(new Error(`no bundler ${name}`))))()));
