const side = 28;

/** 28 × 28 grey bytes as a canvas of that size. */
export function canvasOf(pixels: Uint8Array): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [side, side];
  const image = new ImageData(side, side);
  pixels.forEach((ink, at) => image.data.set([ink, ink, ink, 255], 4 * at));
  canvas.getContext('2d')?.putImageData(image, 0, 0);
  return canvas;
}

/** Its address, for an `img`. */
export function pictureOf(pixels: Uint8Array): string {
  return canvasOf(pixels).toDataURL();
}
