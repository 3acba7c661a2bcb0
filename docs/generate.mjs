// Writes the pages that are made from sources when the site is built: none of them is committed.
import { writeBenchmarks } from './generators/benchmarks.mjs';
import { writeChangelog } from './generators/changelog.mjs';
import { writeErrors } from './generators/errors.mjs';
import { writeMemoryPicture } from './generators/memoryPicture.mjs';
import { writeReference } from './generators/reference.mjs';

writeBenchmarks();
writeChangelog();
await writeErrors();
await writeMemoryPicture();
const { exports, undocumented } = await writeReference();
console.log(`reference: ${exports} exports, ${undocumented.length} without a docstring`);
