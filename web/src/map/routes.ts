// The legs of a plan or a trip, from stop to stop. They are no roads: the lines say in which order, not which way.
import type { Itinerary } from '../api/types';
import type { Colours } from './colours';
import { mercatorX, mercatorY, type View } from './mercator';

export interface Route {
  itinerary: Itinerary;
  /** The chosen one is drawn strongly, with its stops. */
  isStrong: boolean;
}

export function paintRoutes(
  context: CanvasRenderingContext2D,
  view: View,
  colours: Colours,
  routes: Route[],
  hue: (company: string) => number,
): void {
  for (const route of [...routes].sort((a, b) => Number(a.isStrong) - Number(b.isStrong))) {
    const { origem, destino, paradas } = route.itinerary;
    const points = [origem, ...paradas, destino].map(({ latitude, longitude }): [number, number] => [
      mercatorX(longitude) * view.scale - view.x,
      mercatorY(latitude) * view.scale - view.y,
    ]);
    context.lineCap = context.lineJoin = 'round';
    line(context, points);
    if (route.isStrong) {
      context.strokeStyle = colours.surface;
      context.lineWidth = 7;
      context.stroke();
    }
    context.strokeStyle = route.isStrong ? colours.accent : colours['ink-soft'];
    context.globalAlpha = route.isStrong ? 1 : 0.45;
    context.lineWidth = route.isStrong ? 3.5 : 1.5;
    context.stroke();
    context.globalAlpha = 1;
    if (!route.isStrong) continue;
    ends(context, points, colours);
    paradas.forEach((stop, index) => {
      const [x = 0, y = 0] = points[index + 1] ?? [];
      disc(context, x, y, 10, colours[`company-${hue(stop.empresa)}` as keyof Colours], colours.surface);
      context.fillStyle = colours['on-company'];
      context.font = '700 11px system-ui, sans-serif';
      context.textAlign = 'center';
      context.textBaseline = 'middle';
      context.fillText(String(index + 1), x, y + 0.5);
      context.textAlign = 'start';
    });
  }
}

function line(context: CanvasRenderingContext2D, points: [number, number][]): void {
  context.beginPath();
  points.forEach(([x, y], index) => (index === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
}

function ends(context: CanvasRenderingContext2D, points: [number, number][], colours: Colours): void {
  const [first, last] = [points[0], points.at(-1)];
  if (first) disc(context, ...first, 6, colours.surface, colours.accent);
  if (last) disc(context, ...last, 7, colours.accent, colours.surface);
}

function disc(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  radius: number,
  fill: string,
  stroke: string,
): void {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = fill;
  context.fill();
  context.lineWidth = 2.5;
  context.strokeStyle = stroke;
  context.stroke();
}
