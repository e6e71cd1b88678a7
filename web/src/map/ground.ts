// What lies under everything: the sea, the neighbours, the states and the cities of Brazil.
import { cities, neighbours, states } from 'virtual:brazil';
import type { Colours } from './colours';
import { isVisible, mercatorX, mercatorY, type View } from './mercator';

// Paths are kept around the middle of the country, where numbers of 32 bits are finer than a pixel at every zoom.
const MIDDLE = { x: mercatorX(-52), y: mercatorY(-14) };
/** At most zooms all names would lie on each other: of each state so many of the largest cities are named. */
const NAMED: [zoom: number, cities: number][] = [
  [9.5, Infinity],
  [8, 24],
  [7, 10],
  [6, 4],
  [4, 1],
];
/** Room that a name keeps around it, in pixels. */
const ROOM = 7;

interface Ring {
  name: string;
  rings: number[][];
}

let made: { others: Path2D; country: Path2D } | undefined;

// In each state the largest first; it begins with the capital.
const counts = new Map<string, number>();
const places = cities.map((city) => {
  const rank = counts.get(city.state) ?? 0;
  counts.set(city.state, rank + 1);
  return { ...city, rank, x: mercatorX(city.longitude), y: mercatorY(city.latitude) };
});
// Who is larger takes its place first.
places.sort((one, other) => one.rank - other.rank);

export function paintGround(context: CanvasRenderingContext2D, view: View, colours: Colours): void {
  made ??= { others: path(neighbours), country: path(states) };
  context.save();
  context.translate(MIDDLE.x * view.scale - view.x, MIDDLE.y * view.scale - view.y);
  context.scale(view.scale, view.scale);
  context.lineWidth = 1 / view.scale;
  context.lineJoin = 'round';
  context.strokeStyle = colours.border;
  context.fillStyle = colours['land-other'];
  context.fill(made.others);
  context.stroke(made.others);
  context.fillStyle = colours.land;
  context.fill(made.country);
  context.stroke(made.country);
  context.restore();
  paintNames(context, view, colours);
}

function paintNames(context: CanvasRenderingContext2D, view: View, colours: Colours): void {
  const most = NAMED.find(([zoom]) => view.zoom >= zoom)?.[1] ?? 0;
  const taken: [number, number, number, number][] = [];
  context.textBaseline = 'middle';
  context.lineJoin = 'round';
  for (const city of places) {
    if (city.rank >= most) break;
    const isCapital = city.rank === 0;
    const x = city.x * view.scale - view.x;
    const y = city.y * view.scale - view.y;
    if (!isVisible(view, x, y)) continue;
    context.font = `${isCapital ? '600 12px' : '11.5px'} system-ui, sans-serif`;
    const width = context.measureText(city.name).width;
    const box: [number, number, number, number] = [
      x - ROOM,
      y - 9 - ROOM,
      x + 9 + width + ROOM,
      y + 9 + ROOM,
    ];
    if (taken.some((other) => overlap(box, other))) continue;
    taken.push(box);
    context.fillStyle = colours['ink-soft'];
    context.beginPath();
    context.arc(x, y, isCapital ? 2.2 : 1.6, 0, 7);
    context.fill();
    context.lineWidth = 3;
    context.strokeStyle = colours.land;
    context.strokeText(city.name, x + 6, y);
    context.fillText(city.name, x + 6, y);
  }
}

function overlap(one: readonly number[], other: readonly number[]): boolean {
  const [a = 0, b = 0, c = 0, d = 0] = one;
  const [e = 0, f = 0, g = 0, h = 0] = other;
  return a < g && e < c && b < h && f < d;
}

function path(shapes: Ring[]): Path2D {
  const path = new Path2D();
  for (const ring of shapes.flatMap(({ rings }) => rings)) {
    let [longitude, latitude] = [0, 0];
    for (let step = 0; step < ring.length; step += 2) {
      longitude += (ring[step] ?? 0) / 1000;
      latitude += (ring[step + 1] ?? 0) / 1000;
      const [x, y] = [mercatorX(longitude) - MIDDLE.x, mercatorY(latitude) - MIDDLE.y];
      if (step === 0) path.moveTo(x, y);
      else path.lineTo(x, y);
    }
    path.closePath();
  }
  return path;
}
