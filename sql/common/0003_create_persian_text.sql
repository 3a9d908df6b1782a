-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Written by shared.persian: text.sql_functions() and phone.sql_function(). A test compares them with this file.
CREATE FUNCTION crm.search_key(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN btrim(
        regexp_replace(
            regexp_replace(
                translate(
                    normalize(value, NFKD),
                    U&'\064a\0649\06cd\06d0\0643\06aa\06be\06c1\06d5\0660\0661\0662\0663\0664'
            '\0665\0666\0667\0668\0669\0629\06c3\0671\06f0\06f1\06f2\06f3\06f4\06f5'
            '\06f6\06f7\06f8\06f9ABCDEFGHIJ'
            'KLMNOPQRSTUVWX'
            'YZ\0009\000a\000b\000c\000d\0085\2028\2029\1680\00ad\061c\200b'
            '\200d\200e\200f\202a\202b\202c\202d\202e\2060\2066\2067\2068\2069\feff'
            '\0640\200c\0621',
                    U&'\06cc\06cc\06cc\06cc\06a9\06a9\0647\0647\064701234'
            '56789\0647\0647\0627012345'
            '6789abcdefghij'
            'klmnopqrstuvwx'
            'yz         '
                ),
                U&'[\0300-\036f\0610-\061a\064b-\065f\0670-\0670\06d6-\06dc\06df-\06e4\06e7-\06e8\06ea-\06ed]',
                '',
                'g'
            ),
            ' +',
            ' ',
            'g'
        ),
        ' '
    );

CREATE FUNCTION crm.name_key(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN replace(crm.search_key(value), ' ', '');

CREATE FUNCTION crm.canonical_phone(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN '+98' || substring(
        translate(
            value,
            U&'\0660\0661\0662\0663\0664\0665\0666\0667\0668\0669\06f0\06f1\06f2\06f3'
            '\06f4\06f5\06f6\06f7\06f8\06f9\ff10\ff11\ff12\ff13\ff14\ff15\ff16\ff17'
            '\ff18\ff19\ff0b \0009\000d\000a\00a0().-_/'
            '\2010\2011\2012\2013\2014\2015\2212\0640\200c\00ad\061c\200b\200d\200e'
            '\200f\202a\202b\202c\202d\202e\2060\2066\2067\2068\2069\feff',
            '012345678901234567890123456789+'
        )
        FROM '^(?:(?:[+]|00)?980?|0)?([1-9][0-9]{9})$'
    );

-- migrate:down
