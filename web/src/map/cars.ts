// Cars: a dot each, in the colour of what it does; near by, a ring that shows the battery.
import type { CarState } from '../api/types';
import type { KnownCar } from '../state/live.svelte';
import type { Colours } from './colours';
import { isVisible, mercatorX, mercatorY, type View } from './mercator';
import type { Target } from './stations';

/** How long a car glides from where it was to where it says it is. */
const GLIDE_MS = 1_000;
/** More cars than this in sight are dots without a ring. */
const RINGS_MAX = 250;
const RING_ZOOM = 6;
/** Seen from far away, a car must not hide a station. */
const SMALL_ZOOM = 5.5;
const TURN = 2 * Math.PI;

type Look = 'moving' | 'charging' | 'waiting' | 'still' | 'gone';

const looks: Record<CarState, Look> = {
  dirigindo: 'moving',
  carregando: 'charging',
  aguardando: 'waiting',
  pedindo: 'waiting',
  parado: 'still',
  chegou: 'still',
  sem_bateria: 'gone',
  offline: 'gone',
};

/** Where the car is drawn now. */
export function glided({ car, from, came }: KnownCar, now: number): [number, number] {
  const share = Math.min(1, (now - came) / GLIDE_MS);
  return [from[0] + (car.latitude - from[0]) * share, from[1] + (car.longitude - from[1]) * share];
}

export class CarPainter {
  targets: Target[] = [];
  #sprites = new Map<string, HTMLCanvasElement>();
  #colours: Colours | undefined;

  /** Paints, and says whether something still glides. */
  paint(
    context: CanvasRenderingContext2D,
    view: View,
    colours: Colours,
    cars: Iterable<KnownCar>,
    selected: string | undefined,
    isStill: boolean,
  ): boolean {
    if (colours !== this.#colours) this.#sprites.clear();
    this.#colours = colours;
    const now = performance.now();
    const seen: { known: KnownCar; x: number; y: number }[] = [];
    let glides = false;
    for (const known of cars) {
      const [latitude, longitude] = isStill ? [known.car.latitude, known.car.longitude] : glided(known, now);
      const x = mercatorX(longitude) * view.scale - view.x;
      const y = mercatorY(latitude) * view.scale - view.y;
      if (!isVisible(view, x, y)) continue;
      seen.push({ known, x, y });
      glides ||= now - known.came < GLIDE_MS && known.from[0] !== known.car.latitude;
    }
    const withRing = view.zoom >= RING_ZOOM && seen.length <= RINGS_MAX;
    this.targets = seen.map(({ known, x, y }) => {
      const look = looks[known.car.estado ?? 'parado'] ?? 'still';
      const sprite = this.#sprite(look, view.zoom < SMALL_ZOOM ? 0.7 : 1, colours);
      const half = sprite.width / devicePixelRatio / 2;
      context.drawImage(sprite, x - half, y - half, 2 * half, 2 * half);
      if (withRing) battery(context, x, y, known.car.bateria_pct, colours);
      if (known.car.veiculo_id === selected) mark(context, x, y, colours);
      return { x, y, radius: 9, vehicle: known.car.veiculo_id };
    });
    return glides && !isStill;
  }

  #sprite(look: Look, size: number, colours: Colours): HTMLCanvasElement {
    const key = `${look} ${size}`;
    const known = this.#sprites.get(key);
    if (known) return known;
    const radius = (look === 'still' ? 3 : 4.5) * size;
    const sprite = document.createElement('canvas');
    const side = Math.ceil((radius + 2) * 2 * devicePixelRatio);
    sprite.width = sprite.height = side;
    const context = sprite.getContext('2d');
    if (context) {
      context.translate(side / 2, side / 2);
      context.scale(devicePixelRatio, devicePixelRatio);
      context.beginPath();
      context.arc(0, 0, radius, 0, TURN);
      context.fillStyle = {
        moving: colours.ink,
        charging: colours.using,
        waiting: colours.busy,
        still: colours['ink-soft'],
        gone: colours.danger,
      }[look];
      context.fill();
      context.lineWidth = 1.5;
      context.strokeStyle = colours.surface;
      context.stroke();
    }
    this.#sprites.set(key, sprite);
    return sprite;
  }
}

function battery(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  charge: number,
  colours: Colours,
): void {
  context.lineWidth = 2.5;
  context.beginPath();
  context.arc(x, y, 8, 0, TURN);
  context.strokeStyle = colours.border;
  context.stroke();
  context.beginPath();
  context.arc(x, y, 8, -TURN / 4, -TURN / 4 + (charge / 100) * TURN);
  context.strokeStyle = charge < 15 ? colours.danger : charge < 35 ? colours.busy : colours.free;
  context.stroke();
}

function mark(context: CanvasRenderingContext2D, x: number, y: number, colours: Colours): void {
  context.beginPath();
  context.arc(x, y, 13, 0, TURN);
  context.lineWidth = 3;
  context.strokeStyle = colours.accent;
  context.stroke();
}
