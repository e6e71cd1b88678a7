-- One database for each company of compose.yaml, made at the first start.
CREATE DATABASE empresa_a;
CREATE DATABASE empresa_b;
CREATE DATABASE empresa_c;
