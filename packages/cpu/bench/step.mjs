/** node bench/step.mjs [--profile]: time of a LoRA training step of stories3M's shape, 8 documents of 99 tokens. */
import { runBundled } from './bundle.mjs';

const { measureStep } = await runBundled(new URL('./step.ts', import.meta.url));
for (const options of [{ threads: 1 }, {}]) {
  const { threads, milliseconds, best, gigaflops, profile } = await measureStep(options, {
    profile: process.argv.includes('--profile'),
  });
  console.log(
    `${threads}: ${milliseconds.toFixed(1)} ms per step (best ${best.toFixed(1)}), ${gigaflops.toFixed(1)} GFLOP/s`,
  );
  for (const [op, count, time] of profile)
    console.log(`  ${time.toFixed(2).padStart(8)} ms  ${String(count).padStart(4)}  ${op}`);
}
