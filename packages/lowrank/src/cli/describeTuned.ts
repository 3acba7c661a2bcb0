import type { TunedEvent } from '@lowrank/webgpu';

/** What measuring kernels came to, for people. */
export function describeTuned({ classes, measured, faster, seconds }: TunedEvent): string {
  const late = measured === classes ? '' : `, ${classes - measured} stay with the table, as time was up`;
  return (
    `tuned in ${seconds.toFixed(1)} s: ${faster} of ${classes} shapes of products run faster than by the table` +
    `${late} (kept; --no-tune: by the table)`
  );
}
