// A company that is not there: 20,000 stations and 5,000 cars that never stand still, to see whether the page copes.
// Only for measuring the page; what the program does is tested with the program.
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname } from 'node:path';

export const STATIONS = 20_000;
export const CARS = 5_000;
const PAGE = 2_000;
const STATUSES_A_SECOND = 2_500;
const dist = new URL('../../web/dist', import.meta.url).pathname;
const types = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

// The same crowd every time.
let seed = 1;
const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
const between = (least, most) => least + random() * (most - least);

const stations = Array.from({ length: STATIONS }, (_, index) => ({
  empresa: 'empresa-x',
  estacao_id: `X-${index}`,
  nome: `Posto ${index}`,
  cidade: 'Lugar',
  uf: 'MG',
  latitude: between(-30, -4),
  longitude: between(-57, -38),
  fuso: 'America/Sao_Paulo',
  pontos: [1, 2].map((number) => ({
    ponto_id: `X-${index}-${number}`,
    plugues: ['IEC_62196_T2_COMBO'],
    potencia_kw: 120,
    preco_kwh: 2,
    taxa_ativacao: 0,
    estado: random() < 0.02 ? 'inoperante' : 'disponivel',
    livre: random() < 0.7,
  })),
}));
const cars = Array.from({ length: CARS }, (_, index) => ({
  veiculo_id: `carro-${index}`,
  latitude: between(-30, -4),
  longitude: between(-57, -38),
  bateria_pct: between(5, 100),
  velocidade_kmh: 90,
  autonomia_km: 200,
  instante: new Date().toISOString(),
  estado: 'dirigindo',
}));

export function crowd() {
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://crowd');
    const json = (body) => response.setHeader('Content-Type', 'application/json').end(JSON.stringify(body));
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const proximo = (all, page) => (from + page < all.length ? { proximo: String(from + page) } : {});
    switch (url.pathname) {
      case '/painel/config':
        return json({
          modo: 'empresa',
          versao: '0',
          empresa: 'empresa-x',
          nome: 'Empresa X',
          acesso: 'leitura',
        });
      case '/painel/estacoes':
        return json({
          estacoes: stations.slice(from, from + PAGE),
          ...proximo(stations, PAGE),
        });
      case '/veiculos':
        return json({
          veiculos: cars.slice(from, from + 500),
          ...proximo(cars, 500),
        });
      case '/painel/viagens':
        return json({ viagens: [] });
      case '/eventos':
        return drive(response);
    }
    const file = dist + (url.pathname === '/' ? '/index.html' : url.pathname);
    if (!existsSync(file)) return response.writeHead(404).end();
    response.setHeader('Content-Type', types[extname(file)] ?? 'application/octet-stream');
    createReadStream(file).pipe(response);
  });
  return new Promise((resolve) =>
    server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => resolve(server)),
  );
}

function drive(response) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  let id = 0;
  const timer = setInterval(() => {
    let text = '';
    for (let one = 0; one < STATUSES_A_SECOND / 20; one++) {
      const car = cars[id % CARS];
      car.latitude += between(-0.02, 0.02);
      car.longitude += between(-0.02, 0.02);
      car.instante = new Date().toISOString();
      const event = {
        id: ++id,
        instante: car.instante,
        evento: 'veiculo',
        dados: car,
      };
      text += `id: ${id}\nevent: veiculo\ndata: ${JSON.stringify(event)}\n\n`;
    }
    response.write(text);
  }, 50);
  response.on('close', () => clearInterval(timer));
}
