import { LDM_ENDS, LDM_RESNET } from "./ldm.ts";

/** Layers and blocks that there is one of. */
const SINGLE: readonly (readonly [layer: string, name: string])[] = [
  ...LDM_ENDS.map(([theirs, ours]) => [ours, theirs] as const),
  ["mid_block.resnets.0", "middle_block.0"],
  ["mid_block.attentions.0", "middle_block.1"],
  ["mid_block.resnets.1", "middle_block.2"],
];

/**
 * The names that the first implementation of latent diffusion, and Stability AI's, have for the layers of a
 * UNet, as [diffusers' name, theirs]: they count the blocks through, `layers` tells how many there are.
 */
export function unetNames(layers: readonly string[]): [layer: string, name: string][] {
  const fronts = [...SINGLE, ...down(layers), ...up(layers)];
  return layers.flatMap((layer): [string, string][] => {
    const mine = fronts.filter(([front]) => layer === front || layer.startsWith(`${front}.`));
    return mine.map(([front, name]) => {
      const rest = layer.slice(front.length + 1);
      const inner = front.includes(".resnets.") ? inResnet(rest) : rest;
      return [layer, inner ? `${name}.${inner}` : name];
    });
  });
}

function inResnet(layer: string): string {
  return LDM_RESNET.find(([, ours]) => ours === layer)?.[0] ?? layer;
}

function* down(layers: readonly string[]): Generator<[string, string]> {
  let count = 1; // the first is conv_in
  for (const block of numbered(layers, "down_blocks")) {
    for (const resnet of numbered(layers, `${block}.resnets`)) {
      yield [resnet, `input_blocks.${count}.0`];
      yield [resnet.replace(".resnets.", ".attentions."), `input_blocks.${count++}.1`];
    }
    if (numbered(layers, `${block}.downsamplers`).length) {
      yield [`${block}.downsamplers.0.conv`, `input_blocks.${count++}.0.op`];
    }
  }
}

function* up(layers: readonly string[]): Generator<[string, string]> {
  let count = 0;
  for (const block of numbered(layers, "up_blocks")) {
    for (const resnet of numbered(layers, `${block}.resnets`)) {
      yield [resnet, `output_blocks.${count}.0`];
      yield [resnet.replace(".resnets.", ".attentions."), `output_blocks.${count++}.1`];
    }
    const place = numbered(layers, `${block}.attentions`).length ? 2 : 1;
    yield [`${block}.upsamplers.0.conv`, `output_blocks.${count - 1}.${place}.conv`];
  }
}

/** `front.0`, `front.1`, … as far as there are such layers. */
function numbered(layers: readonly string[], front: string): string[] {
  const found = new Set(layers.flatMap((layer) => {
    const [, number] = layer.startsWith(`${front}.`)
      ? /^(\d+)\./.exec(layer.slice(front.length + 1)) ?? []
      : [];
    return number === undefined ? [] : [Number(number)];
  }));
  return [...found].sort((a, b) => a - b).map((number) => `${front}.${number}`);
}
