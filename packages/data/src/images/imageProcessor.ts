import { LowrankError, shown } from '@lowrank/errors';
import { centerCrop, grey, onWhite, planes, withoutAlpha } from './numeric/channels.js';
import type { Pixels } from './numeric/resample.js';
import { resamplings, resize } from './numeric/resample.js';

/** An image as a model takes it. */
export interface ModelImage {
  /** f32 [C, H, W] */
  readonly pixels: Float32Array;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

type Json = Readonly<Record<string, unknown>>;

/** What transformers' classes have where preprocessor_config.json does not say. */
interface Defaults {
  readonly resample: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  /** Whether a size that is one number is both sides, or the shorter one. */
  readonly isSquare: boolean;
  readonly crops: boolean;
  readonly convertsRgb: boolean;
}

const half = [0.5, 0.5, 0.5];
const clip = { mean: [0.48145466, 0.4578275, 0.40821073], deviation: [0.26862954, 0.26130258, 0.27577711] };
const plain: Defaults = {
  resample: 2,
  mean: half,
  deviation: half,
  isSquare: true,
  crops: false,
  convertsRgb: false,
};
const cropping: Defaults = { resample: 3, ...clip, isSquare: false, crops: true, convertsRgb: true };

const classes: Readonly<Record<string, Defaults>> = {
  ViTImageProcessor: plain,
  ViTFeatureExtractor: plain,
  BitImageProcessor: cropping,
  CLIPImageProcessor: cropping,
  SiglipImageProcessor: { ...plain, resample: 3, isSquare: false, convertsRgb: true },
};

type Target =
  | { readonly height: number; readonly width: number }
  | { readonly shortest: number; readonly longest?: number | undefined };

/**
 * What a model's `preprocessor_config.json` says is done to images, as transformers' processors of PIL and NumPy do it:
 * colours, resizing, the middle cut out, bytes to numbers. EXIF rotation is not applied, as there.
 */
export class ImageProcessor {
  private readonly steps: {
    readonly convertsRgb: boolean;
    readonly size: Target | undefined;
    readonly resample: number;
    readonly crop: { readonly height: number; readonly width: number } | undefined;
    readonly factor: number;
    readonly mean: readonly number[];
    readonly deviation: readonly number[];
  };

  /**
   * @param json the file's content
   * @param channels that the model takes: `num_channels` of its config
   * @param name for errors
   * @throws LowrankError `images.config` for a processor or a setting that Lowrank does not have
   */
  constructor(
    json: Json,
    private readonly channels: number,
    private readonly name = 'preprocessor_config.json',
  ) {
    const type = String(json['image_processor_type'] ?? json['feature_extractor_type'] ?? 'ViTImageProcessor');
    const known = type.replace(/(Fast|Pil)$/, '');
    const defaults = Object.hasOwn(classes, known) ? classes[known] : undefined;
    if (defaults === undefined)
      throw this.invalid('image_processor_type', `one of ${Object.keys(classes).join(', ')}`, type);
    if (channels !== 1 && channels !== 3) throw this.invalid('the channels of the model', '1 or 3', channels);
    for (const key of ['do_pad', 'do_flip_channel_order'])
      if (json[key] === true) throw this.invalid(key, 'none', true);
    const isOn = (key: string, otherwise: boolean): boolean => {
      const value = json[key] ?? otherwise;
      return typeof value === 'boolean' ? value : this.fail(key, 'true or false', value);
    };
    const perChannel = (key: string, otherwise: readonly number[]): readonly number[] => {
      const value = json[key] ?? otherwise.slice(0, channels);
      const list = typeof value === 'number' ? Array.from({ length: channels }, () => value) : value;
      return isNumbers(list) && list.length === channels ? list : this.fail(key, `${channels} numbers`, value);
    };
    const normalizes = isOn('do_normalize', true);
    const rescales = isOn('do_rescale', true);
    const factor = json['rescale_factor'] ?? 1 / 255;
    const resample = json['resample'] ?? defaults.resample;
    this.steps = {
      convertsRgb: isOn('do_convert_rgb', defaults.convertsRgb),
      size: isOn('do_resize', true) ? this.targetOf(json['size'] ?? 224, defaults.isSquare) : undefined,
      resample:
        resamplings.find((each) => each === resample) ?? this.fail('resample', 'PIL’s numbers 0 to 5', resample),
      crop: isOn('do_center_crop', defaults.crops) ? this.cropOf(json['crop_size'] ?? 224) : undefined,
      factor: !rescales ? 1 : typeof factor === 'number' ? factor : this.fail('rescale_factor', 'a number', factor),
      mean: normalizes ? perChannel('image_mean', defaults.mean) : Array.from({ length: channels }, () => 0),
      deviation: normalizes ? perChannel('image_std', defaults.deviation) : Array.from({ length: channels }, () => 1),
    };
  }

  /** What the processor makes of an image. @throws LowrankError as `prepare` */
  process(image: Pixels): ModelImage {
    const prepared = this.prepare(image);
    const { width, height, channels } = prepared;
    return { pixels: this.numbers(prepared), channels, height, width };
  }

  /** The numbers that a model takes of a prepared image, f32 [C, H, W]. */
  numbers(prepared: Pixels): Float32Array {
    return planes(prepared, this.steps);
  }

  /**
   * The same in bytes, a quarter of the memory: colours, size and cut.
   *
   * @throws LowrankError `images.size` for an image that shrinks to nothing
   */
  prepare(image: Pixels): Pixels {
    const { convertsRgb, size, resample, crop } = this.steps;
    const coloured = this.channels === 1 ? grey(image) : convertsRgb ? onWhite(image) : withoutAlpha(image);
    const [width, height] = size === undefined ? [image.width, image.height] : sidesOf(image, size);
    if (width < 1 || height < 1)
      throw new LowrankError({
        code: 'images.size',
        what: `an image of ${image.width} × ${image.height}`,
        expected: `one that ${this.name} leaves something of`,
        got: `${width} × ${height}`,
      });
    const sized = resize(coloured, width, height, resample);
    return crop === undefined ? sized : centerCrop(sized, crop.width, crop.height);
  }

  private targetOf(value: unknown, isSquare: boolean): Target {
    if (isSide(value)) return isSquare ? { height: value, width: value } : { shortest: value };
    const { height, width, shortest_edge: shortest, longest_edge: longest } = (value ?? {}) as Json;
    if (isSide(height) && isSide(width)) return { height, width };
    if (isSide(shortest) && (longest === undefined || isSide(longest))) return { shortest, longest };
    return this.fail('size', 'height and width, or shortest_edge', value);
  }

  private cropOf(value: unknown): { height: number; width: number } {
    if (isSide(value)) return { height: value, width: value };
    const { height, width } = (value ?? {}) as Json;
    return isSide(height) && isSide(width) ? { height, width } : this.fail('crop_size', 'height and width', value);
  }

  private fail(key: string, expected: string, got: unknown): never {
    throw this.invalid(key, expected, got);
  }

  private invalid(key: string, expected: string, got: unknown): LowrankError {
    return new LowrankError({
      code: 'images.config',
      what: `${key} in ${this.name}`,
      expected,
      got: shown(got),
      remedy: 'Lowrank prepares images as ViT, DINOv2 and SigLIP do.',
    });
  }
}

/** More than any model takes, and a size that a damaged file cannot fill the memory by. */
const largestSide = 16_384;

function isSide(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= largestSide;
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'number' && Number.isFinite(each));
}

/** [width, height] of the resized image, as transformers rounds them. */
function sidesOf({ width, height }: Pixels, target: Target): [width: number, height: number] {
  if ('height' in target) return [target.width, target.height];
  const { shortest, longest } = target;
  if (longest !== undefined) return withinLongest(width, height, { shortest, longest });
  return width <= height
    ? [shortest, Math.trunc((shortest * height) / width)]
    : [Math.trunc((shortest * width) / height), shortest];
}

/** transformers' `get_size_with_aspect_ratio`. */
function withinLongest(
  width: number,
  height: number,
  { shortest, longest }: { readonly shortest: number; readonly longest: number },
): [width: number, height: number] {
  const [small, large] = [Math.min(width, height), Math.max(width, height)];
  const isTooLong = (large / small) * shortest > longest;
  const raw = isTooLong ? (longest * small) / large : shortest;
  const size = isTooLong ? roundHalfEven(raw) : shortest;
  if ((height <= width && height === size) || (width <= height && width === size)) return [width, height];
  return width < height ? [size, Math.trunc((raw * height) / width)] : [Math.trunc((raw * width) / height), size];
}

/** Python's `round`. */
function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
