// `npm run demo`: installs and builds what a fresh clone lacks, then runs the demo. Arguments go to the demo.
import { join } from 'node:path';
import { root } from './lib/paths.mjs';
import { run } from './lib/process.mjs';
import { build, install } from './lib/workspace.mjs';

/** People read these lines while they wait; stdout is left to the demo. */
const log = (line) => console.error(`lowrank: ${line}`);

try {
  await install({ quiet: true, log });
  await build({ quiet: true, log });
  const { code } = await run(process.execPath, [join(root, 'examples/demo/run.mjs'), ...process.argv.slice(2)]);
  process.exitCode = code;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
