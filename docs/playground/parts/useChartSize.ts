import type { Ref } from 'vue';
import { onBeforeUnmount, onMounted, ref } from 'vue';

/** The width of a place on the page, in whole pixels, as it changes; 0 before it is there. */
export function useChartSize(place: Ref<HTMLElement | undefined>): Ref<number> {
  const width = ref(0);
  let observer: ResizeObserver | undefined;
  onMounted(() => {
    if (place.value === undefined) return;
    width.value = Math.floor(place.value.clientWidth);
    observer = new ResizeObserver(([entry]) => (width.value = Math.floor(entry?.contentRect.width ?? width.value)));
    observer.observe(place.value);
  });
  onBeforeUnmount(() => observer?.disconnect());
  return width;
}
